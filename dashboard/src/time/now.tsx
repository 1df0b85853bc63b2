/** The moment that the views show, which moves on by the minute: queries keep their answers until then. */
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";

const TICK = 60_000;

type Now = {
  /** In milliseconds. */
  now: number;
  /** The same when it was last asked for by hand: lists begin there, and go on by themselves. */
  asked: number;
  refresh: () => void;
};

const NowContext = createContext<Now>({ now: 0, asked: 0, refresh: () => undefined });

export function NowProvider({ children }: { children: ReactNode }) {
  const [now, setNow] = useState(() => Date.now());
  const [asked, setAsked] = useState(now);
  const refresh = useCallback(() => {
    setNow(Date.now());
    setAsked(Date.now());
  }, []);
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") setNow(Date.now());
    }, TICK);
    return () => clearInterval(timer);
  }, []);
  const value = useMemo(() => ({ now, asked, refresh }), [now, asked, refresh]);
  return <NowContext.Provider value={value}>{children}</NowContext.Provider>;
}

/** The moment, and how to make it now. */
export function useNow() {
  return useContext(NowContext);
}
