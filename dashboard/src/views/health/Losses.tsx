/** What waits for the database on this machine, and what could not be kept. */
import type { SpoolHealth } from "../../api/schema";
import { useFormats } from "../../language/formats";
import { Panel } from "../../parts/panel";
import classes from "./health.module.css";
import { useHealthWords } from "./words";

const LOSSES = ["dropped_calls", "dropped_events", "lost_contents", "refused_records"] as const;

export function Losses({ spool }: { spool: SpoolHealth }) {
  const t = useHealthWords();
  const formats = useFormats();
  return (
    <Panel title={t("losses")} note={t("lossesNote")}>
      <dl className={classes.facts}>
        <div>
          <dt>{t("bytes")}</dt>
          <dd>{formats.bytes(spool.waiting_bytes)}</dd>
        </div>
        <div>
          <dt>{t("lag")}</dt>
          <dd>{formats.duration(spool.lag_seconds * 1000)}</dd>
        </div>
        {LOSSES.map((name) => (
          <div key={name} data-lost={spool[name] > 0 || undefined}>
            <dt>{t(name)}</dt>
            <dd>{formats.integer(spool[name])}</dd>
          </div>
        ))}
      </dl>
    </Panel>
  );
}
