import { MonitorSmartphone } from "lucide-react";
import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";

/** The call goes on, on another of the person's devices. Whatever is pressed here leaves it alone, but for one. */
export function Elsewhere() {
  const { t } = useTranslation();
  const ask = useAsk();
  return (
    <main className="called-in">
      <MonitorSmartphone aria-hidden size={96} strokeWidth={1.25} />
      <h1>
        <span role="alert">{t("elsewhere.title")}</span>
      </h1>
      <p>{t("elsewhere.lead")}</p>
      <Button
        className="button main"
        data-do="takeBack"
        onPress={() => {
          ask({ ask: "join" });
        }}
      >
        {t("elsewhere.takeBack")}
      </Button>
      <Button
        className="button"
        onPress={() => {
          ask({ ask: "leave" });
        }}
      >
        {t("elsewhere.home")}
      </Button>
    </main>
  );
}
