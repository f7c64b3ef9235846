import { AppWindow, LoaderCircle, Monitor } from "lucide-react";
import { useState } from "react";
import {
  Button,
  Collection,
  Dialog,
  Header,
  Heading,
  ListBox,
  ListBoxItem,
  ListBoxSection,
  Modal,
  ModalOverlay,
} from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { ScreenChoice, SharedScreen } from "../api/bindings";

/** What there is to share, with what it shows. Nothing is sent before one was chosen and *Share* pressed. */
export function ShareDialog({ screen, name }: { screen: SharedScreen; name: string }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const [chosen, setChosen] = useState<string | null>(null);
  const { choices } = screen;
  const displays = (choices ?? []).filter(({ kind }) => kind === "display");
  const windows = (choices ?? []).filter(({ kind }) => kind === "window");
  // Where the system asks itself, there is that one way alone.
  const system = choices?.find(({ kind }) => kind === "system");
  const isOpen = screen.looks || choices !== null;
  // What was chosen and is gone gives way to nothing, never to something else, which would be seen; and
  // what was chosen once is not chosen the next time.
  const kept = choices?.some((choice) => choice.id === chosen) ? chosen : null;
  if (kept !== chosen) setChosen(kept);
  const id = system?.id ?? kept;
  const close = () => {
    ask({ ask: "leaveScreenChoice" });
  };
  return (
    <ModalOverlay className="overlay" isOpen={isOpen} onOpenChange={close} isDismissable>
      <Modal className="dialog wide">
        <Dialog>
          <Heading slot="title">{t("share.title")}</Heading>
          <p>{t("share.lead", { name })}</p>
          {choices === null ? (
            <p role="status">
              <LoaderCircle aria-hidden size={20} /> {t("share.looks")}
            </p>
          ) : system ? (
            <p role="status">{t(screen.opening ? "share.systemAsks" : "share.systemNext")}</p>
          ) : choices.length === 0 ? (
            <p role="status">{t("share.nothing")}</p>
          ) : (
            <ListBox
              aria-label={t("share.title")}
              className="screens"
              layout="grid"
              selectionMode="single"
              disallowEmptySelection
              selectedKeys={id === null ? [] : [id]}
              onSelectionChange={(keys) => {
                if (keys !== "all") setChosen([...keys].map(String)[0] ?? null);
              }}
            >
              <Group title={t("share.displays")} choices={displays} />
              {windows.length > 0 && <Group title={t("share.windows")} choices={windows} />}
            </ListBox>
          )}
          {screen.trouble && <p role="alert">{t(`share.${screen.trouble}`)}</p>}
          <div className="actions">
            <Button className="button outlined" onPress={close}>
              {t("share.cancel")}
            </Button>
            <Button
              className="button main"
              data-do="share"
              isDisabled={id === null || screen.opening}
              onPress={() => {
                if (id !== null) ask({ ask: "shareScreen", id });
              }}
            >
              {t(system ? "share.choose" : "share.share")}
            </Button>
          </div>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

function Group({ title, choices }: { title: string; choices: ScreenChoice[] }) {
  const { t } = useTranslation();
  const named = choices.map((choice, index) => ({
    ...choice,
    label:
      choice.kind === "window"
        ? choice.name
        : choices.length === 1
          ? t("share.wholeScreen")
          : t("share.screen", { number: index + 1 }),
  }));
  return (
    <ListBoxSection>
      <Header>{title}</Header>
      <Collection items={named}>
        {({ id, label, kind, preview }) => (
          <ListBoxItem id={id} textValue={label} className="screen-choice">
            {preview === null ? (
              <span className="preview">
                {kind === "display" ? (
                  <Monitor aria-hidden size={40} />
                ) : (
                  <AppWindow aria-hidden size={40} />
                )}
              </span>
            ) : (
              <img className="preview" src={preview} alt={label} />
            )}
            <span className="name" aria-hidden={preview !== null}>
              {label}
            </span>
          </ListBoxItem>
        )}
      </Collection>
    </ListBoxSection>
  );
}
