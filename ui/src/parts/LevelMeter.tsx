import { Meter } from "react-aria-components";

import { useLevels } from "../api/context";

/** How loud one's own microphone is, live. */
export function LevelMeter({ label }: { label: string }) {
  const { microphone } = useLevels();
  return (
    <Meter className="meter" aria-label={label} value={Math.round(microphone * 100)}>
      {({ percentage }) => <div style={{ transform: `scaleX(${percentage / 100})` }} />}
    </Meter>
  );
}
