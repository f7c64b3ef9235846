import { useEffect, useRef } from "react";

import { useBackend } from "../api/context";
import type { Pictures } from "../api/bindings";
import { PictureStream } from "./pictures";

/** Live pictures, drawn as they come. */
export function Picture({
  which,
  label,
  className,
}: {
  which: Pictures;
  label: string;
  className?: string | undefined;
}) {
  const backend = useBackend();
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (!canvas.current) return;
    const stream = new PictureStream(backend, which, canvas.current);
    return () => {
      stream.close();
    };
  }, [backend, which]);
  return (
    <canvas ref={canvas} className={className} aria-label={label}>
      {label}
    </canvas>
  );
}
