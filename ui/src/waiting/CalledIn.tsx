import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { Visit } from "../api/bindings";
import { Initials } from "../parts/Initials";

/**
 * The doctor calls: it fills the window, rings, and asks once. The focus goes to the heading, not
 * to the button: whoever is in the middle of typing must not join by their next space.
 */
export function CalledIn({ visit }: { visit: Visit }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const { name } = visit.session.doctor;
  const lead = { VIDEO: "leadVideo", AUDIO: "leadAudio", CHAT: "leadChat" } as const;
  return (
    <main className="called-in">
      <Initials name={name} size={144} />
      <h1>
        <span role="alert">{t("calledIn.title", { name })}</span>
      </h1>
      <p>{t(`calledIn.${lead[visit.session.consultationMode]}`)}</p>
      <Button
        className="button main"
        data-do="join"
        onPress={() => {
          ask({ ask: "join" });
        }}
      >
        {t("calledIn.join")}
      </Button>
      <Button
        className="button"
        data-do="not-now"
        onPress={() => {
          ask({ ask: "decline" });
        }}
      >
        {t("calledIn.notNow")}
      </Button>
    </main>
  );
}
