/** How often something worked, with the interval in which the true rate lies as far as so many steps tell. */
import { useFormats } from "../language/formats";
import { words } from "../language/words";
import classes from "./rate.module.css";

const useWords = words(
  "rate",
  {
    interval: "{{lowest}} to {{highest}}",
    label: "{{rate}}, with 95% certainty between {{lowest}} and {{highest}}",
    heading: "95% sure: Wilson's score interval",
  },
  {
    interval: "{{lowest}} a {{highest}}",
    label: "{{rate}}, con un 95 % de certeza entre {{lowest}} y {{highest}}",
    heading: "95 % de certeza: intervalo de Wilson",
  },
);

const WIDTH = 72;
const HEIGHT = 10;
const MARK = 2;

type Props = { rate: number | null; lowest: number; highest: number };

export function Rate({ rate, lowest, highest }: Props) {
  const t = useWords();
  const formats = useFormats();
  if (rate === null) return <span>–</span>;
  const ends = { lowest: formats.percent(lowest), highest: formats.percent(highest) };
  return (
    <span className={classes.rate} title={t("heading")}>
      <svg
        width={WIDTH}
        height={HEIGHT}
        className={classes.bar}
        role="img"
        aria-label={t("label", { rate: formats.share(rate), ...ends })}
      >
        <rect className={classes.ground} y={3} width={WIDTH} height={HEIGHT - 6} rx={2} />
        <rect
          className={classes.interval}
          x={lowest * WIDTH}
          width={Math.max((highest - lowest) * WIDTH, 1)}
          height={HEIGHT}
          rx={2}
        />
        <rect
          className={classes.value}
          x={Math.min(rate * WIDTH, WIDTH - MARK)}
          width={MARK}
          height={HEIGHT}
        />
      </svg>
      <b>{formats.share(rate)}</b>
      <span className={classes.sure}>{t("interval", ends)}</span>
    </span>
  );
}
