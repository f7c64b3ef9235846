import { ArrowLeft, Star } from "lucide-react";
import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { FeedbackRequest, PastVisit } from "../api/bindings";
import { SummaryFacts } from "../after/SummaryFacts";
import { isOurs } from "../after/tags";
import { Earlier, Message } from "../chat/Message";

/** A past visit: what it came to, what was written, what was said of it. */
export function Past({ past, isDoctor }: { past: PastVisit; isDoctor: boolean }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const { summary, chat, feedback } = past;
  const mine = isDoctor ? "doctor" : "patient";
  return (
    <main className="page">
      <h1>{t("past.title", { name: isDoctor ? summary.patientName : summary.doctorName })}</h1>
      <section className="card">
        <SummaryFacts summary={summary} party={isDoctor ? "DOCTOR" : "PATIENT"} />
      </section>
      <section className="stack">
        <h2>{t("past.chat")}</h2>
        {chat === null ? (
          <p role="status">{t("past.loading")}</p>
        ) : chat.messages.length === 0 ? (
          <p className="quiet">{t("past.noChat")}</p>
        ) : (
          <div className="card messages past-messages">
            {chat.hasOlder && <Earlier />}
            {chat.messages.map((message) => (
              <Message
                key={message.messageId}
                message={message}
                isMine={message.senderType === mine}
              />
            ))}
          </div>
        )}
      </section>
      {feedback && <Rating feedback={feedback} isDoctor={isDoctor} />}
      <div className="next-step">
        <Button
          className="button main"
          data-do="history"
          onPress={() => {
            ask({ ask: "history" });
          }}
        >
          <ArrowLeft aria-hidden /> {t("past.back")}
        </Button>
      </div>
    </main>
  );
}

/** What the patient said of the visit. */
function Rating({ feedback, isDoctor }: { feedback: FeedbackRequest; isDoctor: boolean }) {
  const { t } = useTranslation();
  const stars = feedback.overallRating;
  const ratings = [
    [t("feedback.audio"), feedback.audioQuality],
    [t("feedback.video"), feedback.videoQuality],
    [t("feedback.doctor"), feedback.doctorBehaviour],
  ] as const;
  return (
    <section className="stack" data-rating={stars}>
      <h2>{isDoctor ? t("past.theirRating") : t("past.yourRating")}</h2>
      <div className="card stack">
        <p className="row">
          <span aria-hidden className="given-stars">
            {[1, 2, 3, 4, 5].map((count) => (
              <Star key={count} size={24} className={count <= stars ? "lit" : ""} />
            ))}
          </span>
          {t("feedback.stars", { count: stars })}
        </p>
        {feedback.reviewText !== undefined && <p>{feedback.reviewText}</p>}
        {feedback.feedbackTags.length > 0 && (
          <p className="quiet">
            {feedback.feedbackTags
              .map((tag) => (isOurs(tag) ? t(`feedback.tag.${tag}`) : tag))
              .join(", ")}
          </p>
        )}
        <dl className="facts">
          {ratings.map(
            ([label, count]) =>
              count !== undefined && (
                <div key={label} className="fact">
                  <dt>{label}</dt>
                  <dd>{t("feedback.stars", { count })}</dd>
                </div>
              ),
          )}
          {feedback.wouldRecommend !== undefined && (
            <div className="fact">
              <dt>{t("past.recommends")}</dt>
              <dd>{feedback.wouldRecommend ? t("feedback.yes") : t("feedback.no")}</dd>
            </div>
          )}
        </dl>
      </div>
    </section>
  );
}
