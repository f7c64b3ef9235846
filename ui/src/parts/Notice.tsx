import { CircleCheck, Info, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";

/** Something a person should know: an icon, a sentence, perhaps what to do about it. */
export function Notice({
  kind,
  children,
  action,
}: {
  kind: "attention" | "trouble" | "good";
  children: ReactNode;
  action?: ReactNode;
}) {
  const Icon = kind === "good" ? CircleCheck : kind === "trouble" ? TriangleAlert : Info;
  return (
    <div className={`notice ${kind}`} role={kind === "trouble" ? "alert" : "status"}>
      <Icon aria-hidden size={22} />
      <p>{children}</p>
      {action}
    </div>
  );
}
