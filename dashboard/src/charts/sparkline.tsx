/** A row of small bars: how something went lately. */
import classes from "./sparkline.module.css";

type Props = {
  values: readonly number[];
  /** What is seen, for those who cannot. */
  label: string;
  width?: number;
  height?: number;
};

export function Sparkline({ values, label, width = 96, height = 24 }: Props) {
  const top = Math.max(1, ...values);
  const step = width / Math.max(values.length, 1);
  return (
    <svg width={width} height={height} role="img" aria-label={label} className={classes.sparkline}>
      {values.map((value, index) => {
        const size = value === 0 ? 1 : Math.max(2, (value / top) * height);
        return (
          <rect
            // biome-ignore lint/suspicious/noArrayIndexKey: a bar is its place
            key={index}
            x={index * step}
            y={height - size}
            width={Math.max(step - 1, 1)}
            height={size}
            data-empty={value === 0 || undefined}
          />
        );
      })}
    </svg>
  );
}
