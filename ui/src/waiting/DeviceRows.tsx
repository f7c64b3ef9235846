import { CircleCheck, CircleDashed, Ear, TriangleAlert, Volume2 } from "lucide-react";
import { useEffect, useState, type ReactNode } from "react";
import {
  Button,
  Label,
  ListBox,
  ListBoxItem,
  Popover,
  Select,
  SelectValue,
} from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { DeviceKind, DeviceState, Devices } from "../api/bindings";
import { LevelMeter } from "../parts/LevelMeter";

const AUTOMATIC = "automatic";

/** While somebody chooses, what they plug in shows as soon as they look up again. */
const LOOK_EVERY_MS = 3_000;

/** Camera, microphone and speaker: each with a tick or its trouble, and the fix. */
export function DeviceRows({
  devices,
  withCamera = true,
  withEcho = false,
}: {
  devices: Devices;
  withCamera?: boolean;
  /** Hearing oneself: not in a call, where one hears the other side. */
  withEcho?: boolean;
}) {
  const { t } = useTranslation();
  const ask = useAsk();
  const heard = devices.testSoundHeard;
  const [played, setPlayed] = useState(false);
  useEffect(() => {
    const look = () => {
      ask({ ask: "lookForDevices" });
    };
    look();
    const timer = setInterval(look, LOOK_EVERY_MS);
    return () => {
      clearInterval(timer);
    };
  }, [ask]);
  return (
    <div>
      {withCamera && (
        <Row kind="camera" state={devices.camera}>
          {devices.camera.on ? t("devices.cameraWorks") : t("devices.cameraOff")}
        </Row>
      )}
      <Row
        kind="microphone"
        state={devices.microphone}
        attention={devices.microphoneIsSilent}
        extra={
          devices.microphone.works && (
            <>
              <LevelMeter label={t("devices.level")} />
              {withEcho && devices.speaker.works && <EchoTest stage={devices.echoTest} />}
            </>
          )
        }
      >
        {devices.microphoneIsSilent
          ? t("devices.microphoneSilent")
          : devices.microphone.on
            ? t("devices.microphoneWorks")
            : t("devices.microphoneOff")}
      </Row>
      <Row
        kind="speaker"
        state={devices.speaker}
        attention={heard === false}
        extra={
          <div className="chips">
            <Button
              className="button outlined"
              data-do="testSound"
              isDisabled={devices.testSoundPlays}
              onPress={() => {
                setPlayed(true);
                ask({ ask: "testSound" });
              }}
            >
              <Volume2 aria-hidden size={20} />
              {devices.testSoundPlays ? t("devices.playing") : t("devices.playSound")}
            </Button>
            {devices.speaker.works && heard === null && played && (
              <>
                <span role="status">{t("devices.heardIt")}</span>
                <Button
                  className="button"
                  data-do="heard"
                  onPress={() => {
                    ask({ ask: "testSoundHeard", heard: true });
                  }}
                >
                  {t("devices.yes")}
                </Button>
                <Button
                  className="button"
                  onPress={() => {
                    ask({ ask: "testSoundHeard", heard: false });
                  }}
                >
                  {t("devices.no")}
                </Button>
              </>
            )}
          </div>
        }
      >
        {heard === true
          ? t("devices.speakerHeard")
          : heard === false
            ? t("devices.speakerNotHeard")
            : t("devices.speakerWorks")}
      </Row>
    </div>
  );
}

/** A few seconds of oneself, recorded and played back. */
function EchoTest({ stage }: { stage: Devices["echoTest"] }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const isOn = stage === "listening" || stage === "playing";
  return (
    <div className="chips">
      <Button
        className="button outlined"
        data-do="echoTest"
        isDisabled={isOn}
        onPress={() => {
          ask({ ask: "echoTest" });
        }}
      >
        <Ear aria-hidden size={20} />
        {t("devices.echo")}
      </Button>
      <span role="status" data-echo={stage}>
        {stage === "listening"
          ? t("devices.echoListening")
          : stage === "playing"
            ? t("devices.echoPlaying")
            : stage === "played"
              ? t("devices.echoPlayed")
              : ""}
      </span>
    </div>
  );
}

function Row({
  kind,
  state,
  attention = false,
  extra,
  children,
}: {
  kind: DeviceKind;
  state: DeviceState;
  attention?: boolean;
  extra?: ReactNode;
  children: ReactNode;
}) {
  const { t } = useTranslation();
  const ask = useAsk();
  const troubled = state.trouble !== null || attention;
  const Icon = troubled ? TriangleAlert : state.works ? CircleCheck : CircleDashed;
  return (
    <section
      className="device"
      aria-label={t(`devices.${kind}`)}
      data-state={troubled ? "trouble" : state.works ? "works" : "opening"}
    >
      <Icon
        aria-label={
          troubled
            ? t("devices.attention")
            : state.works
              ? t("devices.works")
              : t("devices.opening")
        }
        className={troubled ? "attention" : "good"}
      />
      <h2 className="label">{t(`devices.${kind}`)}</h2>
      <p role="status">
        {state.trouble
          ? t(`devices.${state.trouble}`)
          : state.opening
            ? t("devices.opening")
            : children}
      </p>
      {state.systemWords && (
        <p className="quiet">{t("devices.systemSays", { words: state.systemWords })}</p>
      )}
      {extra}
      {state.choices.length > 1 && (
        <Select
          className="field"
          value={state.chosen ?? AUTOMATIC}
          onChange={(key) => {
            ask({ ask: "choose", device: kind, id: key === AUTOMATIC ? null : String(key) });
          }}
        >
          <Label className="unseen">{t(`devices.${kind}`)}</Label>
          <Button className="select-button" data-do={`choose-${kind}`}>
            <SelectValue />
            <span aria-hidden>▾</span>
          </Button>
          <Popover className="popover">
            <ListBox>
              <ListBoxItem id={AUTOMATIC} className="option">
                {t("devices.automatic")}
              </ListBoxItem>
              {state.choices.map((choice) => (
                <ListBoxItem
                  key={choice.id}
                  id={choice.id}
                  className="option"
                  data-choice={choice.name}
                >
                  {choice.name}
                </ListBoxItem>
              ))}
            </ListBox>
          </Popover>
        </Select>
      )}
    </section>
  );
}
