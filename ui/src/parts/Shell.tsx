import { HeartHandshake, History as HistoryIcon, LogOut } from "lucide-react";
import { useEffect, useState, type ReactNode } from "react";
import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { Snapshot } from "../api/bindings";
import { Problem } from "./Problem";
import { Notice } from "./Notice";

/** A link that is back sooner was not missed by anybody. */
const INTERRUPTED_AFTER_MS = 1_500;

/** True once `condition` has been for a while. */
function useLater(condition: boolean, ms: number): boolean {
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (!condition) return;
    const timer = setTimeout(() => {
      setLate(true);
    }, ms);
    return () => {
      clearTimeout(timer);
      setLate(false);
    };
  }, [condition, ms]);
  return late;
}

/** The frame around every screen but the call: the clinic, notices, the way to the rest. */
export function Shell({ snapshot, children }: { snapshot: Snapshot; children: ReactNode }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const interrupted = useLater(snapshot.link === "connecting", INTERRUPTED_AFTER_MS);
  const between = snapshot.screen === "home" || snapshot.screen === "history";
  return (
    <>
      <header className="bar">
        <span className="brand">
          <HeartHandshake aria-hidden /> {snapshot.clinic ?? t("app.name")}
        </span>
        {between && snapshot.screen !== "history" && (
          <Button
            className="button"
            data-do="history"
            onPress={() => {
              ask({ ask: "history" });
            }}
          >
            <HistoryIcon aria-hidden size={20} /> {t("app.history")}
          </Button>
        )}
        {between && (
          <Button
            className="button"
            data-do="signOut"
            onPress={() => {
              ask({ ask: "signOut" });
            }}
          >
            <LogOut aria-hidden size={20} /> {t("app.signOut")}
          </Button>
        )}
      </header>
      <div className="notices">
        {interrupted && <Notice kind="attention">{t("app.reconnecting")}</Notice>}
        <Problem problem={snapshot.problem} />
      </div>
      {children}
    </>
  );
}
