import { useEffect, useState } from "react";
import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk, useBackend } from "../api/context";
import type { ChatMessage } from "../api/bindings";
import { clock } from "../i18n";

/** Fetches what was written before. */
export function Earlier() {
  const { t } = useTranslation();
  const ask = useAsk();
  return (
    <Button
      className="button"
      onPress={() => {
        ask({ ask: "olderMessages" });
      }}
    >
      {t("chat.older")}
    </Button>
  );
}

/** One message: who, when, what, and of one's own how far it came. */
export function Message({ message, isMine }: { message: ChatMessage; isMine: boolean }) {
  const { t } = useTranslation();
  if (message.messageType === "system") return <Happened message={message} />;
  return (
    <div className={isMine ? "message mine" : "message"}>
      <span className="meta">
        {isMine ? t("chat.you") : message.senderName}, {clock(message.timestamp)}
      </span>
      {message.isDeleted ? <em>{t("chat.deleted")}</em> : message.content}
      {message.attachment && <File message={message} />}
      {isMine && <span className="meta">{t(`chat.${message.status}`)}</span>}
    </div>
  );
}

/** Nobody wrote it: somebody came or went, or the visit stood still. */
function Happened({ message }: { message: ChatMessage }) {
  const { t } = useTranslation();
  const name = message.senderName;
  const words: Partial<Record<string, string>> = {
    patient_joined: t("chat.happened.joined", { name }),
    doctor_joined: t("chat.happened.joined", { name }),
    patient_left: t("chat.happened.left", { name }),
    doctor_left: t("chat.happened.left", { name }),
    hold: t("chat.happened.hold", { name }),
    resume: t("chat.happened.resume", { name }),
    ended: t("chat.happened.ended"),
    file_refused: t("chat.happened.fileRefused", { name }),
  };
  const said = words[message.content];
  if (said === undefined) return null;
  return (
    <p className="happened">
      {said} <span className="meta">{clock(message.timestamp)}</span>
    </p>
  );
}

/** A picture is shown; another file is a button that saves it. */
function File({ message }: { message: ChatMessage }) {
  const { t } = useTranslation();
  const backend = useBackend();
  const [url, setUrl] = useState<string | null>(null);
  const [attempt, setAttempt] = useState(1);
  const [hasFailed, setFailed] = useState(false);
  const { attachment } = message;
  const id = attachment?.attachmentId;
  const type = attachment?.mimeType ?? "application/octet-stream";
  useEffect(() => {
    if (id === undefined) return;
    let made: string | null = null;
    let gone = false;
    backend.fetchFile(id).then(
      (bytes) => {
        if (gone) return;
        made = URL.createObjectURL(new Blob([bytes], { type }));
        setUrl(made);
      },
      () => {
        if (!gone) setFailed(true);
      },
    );
    return () => {
      gone = true;
      if (made !== null) URL.revokeObjectURL(made);
    };
  }, [backend, id, type, attempt]);
  if (!attachment) return null;
  const name = attachment.fileName;
  if (hasFailed) {
    return (
      <p role="status">
        {t("chat.notFetched", { name })}{" "}
        <Button
          className="button outlined"
          onPress={() => {
            setFailed(false);
            setAttempt(attempt + 1);
          }}
        >
          {t("chat.fetchAgain")}
        </Button>
      </p>
    );
  }
  if (message.messageType === "image") {
    return url === null ? <p>{name}</p> : <img src={url} alt={t("chat.image", { name })} />;
  }
  return (
    <a className="button outlined" href={url ?? undefined} download={name}>
      {t("chat.save", { name })}
    </a>
  );
}
