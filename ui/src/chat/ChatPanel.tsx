import { Paperclip, SendHorizontal, X } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Button, FileTrigger, Form, Input, Label, TextField } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk, useBackend } from "../api/context";
import type { Visit } from "../api/bindings";
import { Notice } from "../parts/Notice";
import { Earlier, Message } from "./Message";

/** How long a pause ends "is writing…". */
const TYPING_PAUSE_MS = 3_000;

/** The largest file that the service takes. */
const MAX_FILE_BYTES = 10 * 1024 * 1024;

/**
 * What was begun and not sent, by visit: being called in, or closing the chat, must not lose it.
 * In memory only, and forgotten at sign-in.
 */
const drafts = new Map<string, string>();

/** Forgets what was begun: somebody else may be next. */
export function forgetDrafts() {
  drafts.clear();
}

/** The chat, at the side of the call or in the page. */
export function ChatPanel({
  visit,
  inPage = false,
  onClose,
}: {
  visit: Visit;
  inPage?: boolean;
  onClose?: () => void;
}) {
  const { t } = useTranslation();
  const ask = useAsk();
  const backend = useBackend();
  const id = visit.session.sessionId;
  const [text, setText] = useState(() => drafts.get(id) ?? "");
  const [isTooLarge, setTooLarge] = useState(false);
  const list = useRef<HTMLDivElement>(null);
  const typing = useRef<ReturnType<typeof setTimeout> | null>(null);
  const { chat } = visit;
  const other = visit.party === "DOCTOR" ? visit.session.patient : visit.session.doctor;
  const newest = chat.messages.at(-1)?.seq ?? 0;

  useEffect(() => {
    ask({ ask: "chatOpen", open: true });
    return () => {
      ask({ ask: "chatOpen", open: false });
    };
  }, [ask]);
  useEffect(() => {
    // Only the list: the page around it stays where the person has it.
    if (list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [newest, chat.pending.length]);

  const stopTyping = () => {
    if (typing.current === null) return;
    clearTimeout(typing.current);
    typing.current = null;
    ask({ ask: "typing", typing: false });
  };
  const write = (value: string) => {
    setText(value);
    drafts.set(id, value);
    if (typing.current === null) ask({ ask: "typing", typing: true });
    else clearTimeout(typing.current);
    typing.current = setTimeout(stopTyping, TYPING_PAUSE_MS);
  };
  return (
    <aside className={inPage ? "chat in-page" : "chat"} aria-label={t("chat.title")}>
      <div className="chat-head">
        <h2>{inPage ? t("waiting.write") : t("chat.title")}</h2>
        {onClose && (
          <Button className="button" aria-label={t("chat.close")} onPress={onClose}>
            <X aria-hidden size={20} />
          </Button>
        )}
      </div>
      <div className="messages" role="log" ref={list}>
        {chat.hasOlder && <Earlier />}
        {chat.messages.length === 0 && chat.pending.length === 0 && (
          <p className="quiet">{t("chat.empty")}</p>
        )}
        {chat.messages.map((message) => (
          <Message
            key={message.messageId}
            message={message}
            isMine={message.senderType === visit.party.toLowerCase()}
          />
        ))}
        {chat.pending.map((pending) => (
          <div key={pending.id} className="message mine">
            {pending.content}
            <span className="meta">
              {pending.refused === null
                ? t("chat.waiting")
                : t("chat.refused", { reason: pending.refused })}
            </span>
            {pending.refused !== null && (
              <Button
                className="button"
                onPress={() => {
                  ask({ ask: "discard", id: pending.id });
                }}
              >
                {t("chat.discard")}
              </Button>
            )}
          </div>
        ))}
        <p className="quiet small" role="status">
          {chat.otherTypes ? t("chat.typing", { name: other.name }) : ""}
        </p>
      </div>
      {isTooLarge && <Notice kind="trouble">{t("problem.tooLarge")}</Notice>}
      <Form
        className="compose"
        onSubmit={(event) => {
          event.preventDefault();
          stopTyping();
          if (text.trim() === "") return;
          ask({ ask: "sendText", text });
          setText("");
          drafts.delete(id);
        }}
      >
        <FileTrigger
          acceptedFileTypes={["image/*", "application/pdf", "text/plain"]}
          onSelect={(files) => {
            const chosen = Array.from(files ?? []);
            setTooLarge(chosen.some((file) => file.size > MAX_FILE_BYTES));
            for (const file of chosen.filter((one) => one.size <= MAX_FILE_BYTES)) {
              void file.arrayBuffer().then((bytes) => {
                backend.sendFile(file.name, new Uint8Array(bytes));
              });
            }
          }}
        >
          <Button className="button" aria-label={t("chat.attach")}>
            <Paperclip aria-hidden size={20} />
          </Button>
        </FileTrigger>
        <TextField className="field" value={text} onChange={write} maxLength={4000}>
          <Label className="unseen">{t("chat.write")}</Label>
          <Input name="message" placeholder={t("chat.write")} autoComplete="off" />
        </TextField>
        <Button type="submit" className="button main" data-do="send" aria-label={t("chat.send")}>
          <SendHorizontal aria-hidden size={20} />
        </Button>
      </Form>
    </aside>
  );
}
