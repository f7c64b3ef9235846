import { Star } from "lucide-react";
import { useState } from "react";
import {
  Button,
  Disclosure,
  DisclosurePanel,
  Form,
  Label,
  TextArea,
  TextField,
  ToggleButton,
  ToggleButtonGroup,
  type Key,
} from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import { TAGS } from "./tags";

/** Stars first, words to tap, the rest folded. */
export function FeedbackForm({ withPicture, busy }: { withPicture: boolean; busy: boolean }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const [overall, setOverall] = useState(0);
  const [audio, setAudio] = useState(0);
  const [video, setVideo] = useState(0);
  const [doctor, setDoctor] = useState(0);
  const [tags, setTags] = useState<ReadonlySet<Key>>(new Set());
  const [text, setText] = useState("");
  const [recommend, setRecommend] = useState<ReadonlySet<Key>>(new Set());
  const submit = () => {
    ask({
      ask: "feedback",
      feedback: {
        overallRating: overall,
        ...(audio > 0 ? { audioQuality: audio } : {}),
        ...(video > 0 ? { videoQuality: video } : {}),
        ...(doctor > 0 ? { doctorBehaviour: doctor } : {}),
        ...(text.trim() === "" ? {} : { reviewText: text.trim() }),
        feedbackTags: TAGS.filter((tag) => tags.has(tag)),
        ...(recommend.size > 0 ? { wouldRecommend: recommend.has("yes") } : {}),
      },
    });
  };
  return (
    <Form
      className="card stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (overall > 0) submit();
      }}
    >
      <h2>{t("feedback.title")}</h2>
      <Stars
        name="overall"
        label={t("feedback.title")}
        value={overall}
        onChange={setOverall}
        hideLabel
      />
      <h3 id="feedback-tags">{t("feedback.tags")}</h3>
      <ToggleButtonGroup
        className="chips"
        aria-labelledby="feedback-tags"
        selectionMode="multiple"
        selectedKeys={tags}
        onSelectionChange={setTags}
      >
        {TAGS.map((tag) => (
          <ToggleButton key={tag} id={tag} className="chip" data-tag={tag}>
            {t(`feedback.tag.${tag}`)}
          </ToggleButton>
        ))}
      </ToggleButtonGroup>
      <Disclosure>
        <Button slot="trigger" className="button" data-do="more">
          {t("feedback.more")}
        </Button>
        <DisclosurePanel>
          <div className="stack">
            <Stars name="audio" label={t("feedback.audio")} value={audio} onChange={setAudio} />
            {withPicture && (
              <Stars name="video" label={t("feedback.video")} value={video} onChange={setVideo} />
            )}
            <Stars name="doctor" label={t("feedback.doctor")} value={doctor} onChange={setDoctor} />
            <TextField className="field" value={text} onChange={setText} maxLength={2000}>
              <Label>{t("feedback.text")}</Label>
              <TextArea name="review" rows={3} />
            </TextField>
            <h3 id="feedback-recommend">{t("feedback.recommend")}</h3>
            <ToggleButtonGroup
              className="chips"
              aria-labelledby="feedback-recommend"
              selectedKeys={recommend}
              onSelectionChange={setRecommend}
            >
              <ToggleButton id="yes" className="chip" data-do="recommend">
                {t("feedback.yes")}
              </ToggleButton>
              <ToggleButton id="no" className="chip">
                {t("feedback.no")}
              </ToggleButton>
            </ToggleButtonGroup>
          </div>
        </DisclosurePanel>
      </Disclosure>
      <div className="actions">
        <Button
          type="submit"
          className="button main"
          data-do="sendFeedback"
          isDisabled={overall === 0 || busy}
        >
          {t("feedback.send")}
        </Button>
      </div>
    </Form>
  );
}

function Stars({
  name,
  label,
  value,
  onChange,
  hideLabel = false,
}: {
  name: string;
  label: string;
  value: number;
  onChange: (value: number) => void;
  hideLabel?: boolean;
}) {
  const { t } = useTranslation();
  return (
    <div>
      <h3 className={hideLabel ? "unseen" : ""}>{label}</h3>
      <ToggleButtonGroup
        className="stars"
        aria-label={label}
        selectedKeys={value > 0 ? [value] : []}
        onSelectionChange={(keys) => {
          const [key] = [...keys];
          onChange(typeof key === "number" ? key : 0);
        }}
      >
        {[1, 2, 3, 4, 5].map((count) => (
          <ToggleButton
            key={count}
            id={count}
            className={count <= value ? "star lit" : "star"}
            aria-label={t("feedback.stars", { count })}
            data-star={`${name}-${count}`}
          >
            <Star aria-hidden size={32} />
          </ToggleButton>
        ))}
      </ToggleButtonGroup>
    </div>
  );
}
