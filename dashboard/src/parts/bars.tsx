/** Names and their numbers, each before a bar of its share. */
import type { ReactNode } from "react";
import { useFormats } from "../language/formats";
import classes from "./bars.module.css";

const MOST = 8;

type Props = {
  counts: readonly (readonly [string, number])[];
  /** What the shares are of. */
  total: number;
  name?: (name: string) => ReactNode;
  /** Says how many more there are than are shown. */
  more: (count: number) => string;
};

export function Bars({ counts, total, name = (text) => text, more }: Props) {
  const formats = useFormats();
  const shown = counts.slice(0, MOST);
  const rest = counts.length - shown.length;
  return (
    <>
      <dl className={classes.bars}>
        {shown.map(([text, count]) => (
          <div key={text} className={classes.row}>
            <dt className={classes.name} title={text}>
              <span className={classes.fill} style={{ width: `${(100 * count) / Math.max(total, 1)}%` }} />
              <span className={classes.label}>{name(text)}</span>
            </dt>
            <dd className={classes.count}>{formats.integer(count)}</dd>
            <dd className={classes.share}>{formats.percent(count / Math.max(total, 1))}</dd>
          </div>
        ))}
      </dl>
      {rest > 0 && <div>{more(rest)}</div>}
    </>
  );
}
