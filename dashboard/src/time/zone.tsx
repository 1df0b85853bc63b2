/** The time zone that times are told in: the browser's, or UTC. */
import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from "react";

export type Zone = "local" | "utc";

const KEPT = "cajanegra.zone";
const ZoneContext = createContext<{ zone: Zone; setZone: (zone: Zone) => void }>({
  zone: "local",
  setZone: () => undefined,
});

export function ZoneProvider({ children }: { children: ReactNode }) {
  const [zone, set] = useState<Zone>(localStorage.getItem(KEPT) === "utc" ? "utc" : "local");
  const setZone = useCallback((chosen: Zone) => {
    localStorage.setItem(KEPT, chosen);
    set(chosen);
  }, []);
  const value = useMemo(() => ({ zone, setZone }), [zone, setZone]);
  return <ZoneContext.Provider value={value}>{children}</ZoneContext.Provider>;
}

/** The zone that is chosen, and how to choose another. */
export function useZone() {
  return useContext(ZoneContext);
}

/** `Europe/Madrid (GMT+1)`; without a zone, the browser's. */
export function zoneName(locale: string, timeZone: string | undefined): string {
  const name = timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (name === "UTC") return name;
  const parts = new Intl.DateTimeFormat(locale, { timeZone: name, timeZoneName: "shortOffset" });
  const offset = parts.formatToParts(new Date()).find((part) => part.type === "timeZoneName")?.value;
  return offset ? `${name} (${offset})` : name;
}
