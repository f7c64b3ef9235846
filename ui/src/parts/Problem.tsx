import { X } from "lucide-react";
import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { UiProblem } from "../api/bindings";
import { Notice } from "./Notice";

/** What went wrong with what was asked last, in words. */
export function Problem({ problem }: { problem: UiProblem | null }) {
  const { t } = useTranslation();
  const ask = useAsk();
  if (!problem) return null;
  return (
    <Notice
      kind={isNoFault(problem.code) ? "attention" : "trouble"}
      action={
        <Button
          className="button"
          aria-label={t("app.dismiss")}
          onPress={() => {
            ask({ ask: "dismiss" });
          }}
        >
          <X aria-hidden size={20} />
        </Button>
      }
    >
      {t(`problem.${problem.code}`, { message: problem.message })}
    </Notice>
  );
}

/** What nobody did wrong. */
function isNoFault(code: UiProblem["code"]): boolean {
  return code === "unreachable" || code === "patientGone" || code === "noAnswer";
}
