import { useEffect, useRef } from "react";
import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { Visit } from "../api/bindings";
import { Initials } from "../parts/Initials";

/** The doctor calls: it fills the window, rings, and asks once. */
export function CalledIn({ visit }: { visit: Visit }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const join = useRef<HTMLButtonElement>(null);
  // The one thing to do, for whoever answers by key.
  useEffect(() => {
    join.current?.focus();
  }, []);
  const { name } = visit.session.doctor;
  return (
    <main className="called-in">
      <Initials name={name} size={144} />
      <h1>
        <span role="alert">{t("calledIn.title", { name })}</span>
      </h1>
      <p>{t("calledIn.lead")}</p>
      <Button
        className="button main"
        data-do="join"
        ref={join}
        onPress={() => {
          ask({ ask: "join" });
        }}
      >
        {t("calledIn.join")}
      </Button>
      <Button
        className="button"
        onPress={() => {
          ask({ ask: "leave" });
        }}
      >
        {t("calledIn.leave")}
      </Button>
    </main>
  );
}
