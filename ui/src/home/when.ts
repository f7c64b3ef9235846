import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import type { ConsultationMode, Session } from "../api/bindings";
import { clock, dayAndClock } from "../i18n";

/** The minute that it is now, so that "in 20 minutes" stays true. */
export function useNow(everyMs = 15_000): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => {
      setNow(Date.now());
    }, everyMs);
    return () => {
      clearInterval(timer);
    };
  }, [everyMs]);
  return now;
}

/** "today at 14:30, in 20 minutes". */
export function useWhen(): (start: string) => string {
  const { t } = useTranslation();
  const now = useNow();
  return (start) => {
    const date = new Date(start);
    if (!isOnDay(start, now)) return dayAndClock(start);
    const today = t("home.today", { time: clock(start) });
    const minutes = Math.round((date.getTime() - now) / 60_000);
    if (minutes <= 0) return `${today}, ${t("home.nowDue")}`;
    return minutes > 90 ? today : `${today}, ${t("home.inMinutes", { count: minutes })}`;
  };
}

/** "by video". */
export function useMode(): (mode: ConsultationMode) => string {
  const { t } = useTranslation();
  return (mode) =>
    mode === "VIDEO" ? t("home.byVideo") : mode === "AUDIO" ? t("home.byAudio") : t("home.byChat");
}

/** Whether a visit is planned for the day that it is now. */
export function isOnDay(start: string, now: number): boolean {
  return new Date(start).toDateString() === new Date(now).toDateString();
}

/** "14:30" of today, "Nov 24, 14:30" of another day. */
export function useShortWhen(): (start: string) => string {
  const now = useNow();
  return (start) => (isOnDay(start, now) ? clock(start) : dayAndClock(start));
}

/** How long before its start a visit's waiting room opens. */
const OPENS_BEFORE_MS = 30 * 60_000;

/** When a visit's waiting room opens; none where it is open. */
export function opensAt(session: Session, now: number): string | null {
  const opens = new Date(session.scheduledStartTime).getTime() - OPENS_BEFORE_MS;
  return session.status !== "SCHEDULED" || now >= opens ? null : new Date(opens).toISOString();
}

/**
 * Whether the patient is in a visit on another of their devices. One that crashed leaves its name in the
 * visit: only whoever is connected is there.
 */
export function isElsewhere(session: Session, device: string): boolean {
  const own = session.participants.find((one) => one.party === "PATIENT");
  const other = session.patientDevice;
  return runs(session) && own?.status === "connected" && other !== undefined && other !== device;
}

/** Whether a visit is going on. */
export function runs(session: Session): boolean {
  return session.status === "IN_PROGRESS" || session.status === "PAUSED";
}

/** Whether a visit can still be entered. */
export function isOpen(session: Session): boolean {
  return runs(session) || session.status === "SCHEDULED" || session.status === "WAITING";
}
