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

/** What can be wrong with what was typed. */
export type Field = "email" | "password";

/** Whether a problem belongs under a field: under that one, or under any. */
export function isOfField(problem: UiProblem | null, field?: Field): boolean {
  const of: Partial<Record<UiProblem["code"], Field>> = {
    emailTaken: "email",
    wrongCredentials: "password",
  };
  const its = problem ? of[problem.code] : undefined;
  return its !== undefined && (field === undefined || its === field);
}

/** What nobody did wrong. */
function isNoFault(code: UiProblem["code"]): boolean {
  return (
    code === "unreachable" ||
    code === "proxyWantsName" ||
    code === "joinedMeanwhile" ||
    code === "patientGone" ||
    code === "noAnswer" ||
    code === "declined" ||
    code === "soundRestarted" ||
    code === "pictureRestarted"
  );
}
