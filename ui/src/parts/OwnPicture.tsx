import { useTranslation } from "react-i18next";

import type { DeviceState } from "../api/bindings";
import { Picture } from "./Picture";

/** Oneself as the other side will see one, or in a sentence why not. */
export function OwnPicture({ camera, label }: { camera: DeviceState; label: string }) {
  const { t } = useTranslation();
  const why = camera.opening
    ? t("devices.opening")
    : camera.on
      ? t("devices.noPicture")
      : t("devices.cameraOff");
  return (
    <div className="own-picture">
      {camera.works ? <Picture which="own" label={label} /> : <p>{why}</p>}
    </div>
  );
}
