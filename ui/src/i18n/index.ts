import i18next from "i18next";
import { initReactI18next } from "react-i18next";

import { en } from "./en";

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "translation";
    resources: { translation: typeof en };
  }
}

void i18next.use(initReactI18next).init({
  lng: "en",
  fallbackLng: "en",
  resources: { en: { translation: en } },
  // React escapes what it shows.
  interpolation: { escapeValue: false },
  react: { useSuspense: false },
});

/** A time of day in the person's own way of writing it. */
export function clock(instant: string): string {
  return new Intl.DateTimeFormat(i18next.language, { timeStyle: "short" }).format(
    new Date(instant),
  );
}

/** A day and time. */
export function dayAndClock(instant: string): string {
  return new Intl.DateTimeFormat(i18next.language, {
    dateStyle: "medium",
    timeStyle: "short",
  }).format(new Date(instant));
}

/** A month, as the heading of a list. */
export function month(instant: string): string {
  return new Intl.DateTimeFormat(i18next.language, { month: "long", year: "numeric" }).format(
    new Date(instant),
  );
}

/** Minutes and seconds on a clock. */
export function duration(seconds: number): string {
  const rest = String(Math.floor(seconds % 60)).padStart(2, "0");
  return `${Math.floor(seconds / 60)}:${rest}`;
}

/** Money as the person’s language writes it. */
export function money(amount: number, currency: string): string {
  try {
    const format = new Intl.NumberFormat(i18next.language, {
      style: "currency",
      currency,
    });
    return format.format(amount);
  } catch {
    // Not a currency's code: as it came.
    return `${amount} ${currency}`;
  }
}

/** Things of which each one counts: "a, b, or c". */
export function either(things: string[]): string {
  return new Intl.ListFormat(i18next.language, { type: "disjunction" }).format(things);
}
