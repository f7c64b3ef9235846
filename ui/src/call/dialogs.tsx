import { Button, Dialog, Heading, Modal, ModalOverlay } from "react-aria-components";
import { useTranslation } from "react-i18next";

import type { Devices } from "../api/bindings";
import { DeviceRows } from "../waiting/DeviceRows";

/** Camera and sound, during the call. */
export function SettingsDialog({
  isOpen,
  onClose,
  devices,
  withCamera,
}: {
  isOpen: boolean;
  onClose: () => void;
  devices: Devices;
  withCamera: boolean;
}) {
  const { t } = useTranslation();
  return (
    <ModalOverlay className="overlay" isOpen={isOpen} onOpenChange={onClose} isDismissable>
      <Modal className="dialog">
        <Dialog>
          <Heading slot="title">{t("devices.settings")}</Heading>
          <p>{t("devices.settingsLead")}</p>
          <DeviceRows devices={devices} withCamera={withCamera} />
          <div className="actions">
            <Button className="button main" data-do="done" onPress={onClose}>
              {t("devices.done")}
            </Button>
          </div>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

/** Asks once before something that can't be taken back. */
export function ConfirmDialog({
  isOpen,
  onClose,
  title,
  lead,
  yes,
  onYes,
}: {
  isOpen: boolean;
  onClose: () => void;
  title: string;
  lead: string;
  yes: string;
  onYes: () => void;
}) {
  const { t } = useTranslation();
  return (
    <ModalOverlay className="overlay" isOpen={isOpen} onOpenChange={onClose} isDismissable>
      <Modal className="dialog">
        <Dialog role="alertdialog">
          <Heading slot="title">{title}</Heading>
          <p>{lead}</p>
          <div className="actions">
            <Button className="button outlined" onPress={onClose}>
              {t("call.stay")}
            </Button>
            <Button
              className="button main"
              data-do="confirm"
              onPress={() => {
                onClose();
                onYes();
              }}
            >
              {yes}
            </Button>
          </div>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
