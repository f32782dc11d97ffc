/** Numbers and times as text. A missing number is "–". */

export const NONE = "–";
export const MINUS = "−";

export type Zone = "bogota" | "local" | "utc";
export const ZONES: readonly Zone[] = ["bogota", "local", "utc"];
export const ZONE_NAMES: Readonly<Record<Zone, string>> = { bogota: "Bogotá", local: "Local", utc: "UTC" };

function timeZone(zone: Zone): string | undefined {
  return zone === "bogota" ? "America/Bogota" : zone === "utc" ? "UTC" : undefined;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatter(name: string, zone: Zone, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${name} ${zone}`;
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: timeZone(zone), hourCycle: "h23" });
    formats.set(key, found);
  }
  return found;
}

/** "14:03". */
export function clock(ms: number, zone: Zone): string {
  return formatter("clock", zone, { hour: "2-digit", minute: "2-digit" }).format(ms);
}

/** "14:03:22". */
export function clockSeconds(ms: number, zone: Zone): string {
  return formatter("seconds", zone, { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(ms);
}

/** Months have three letters: "Sep", not "Sept". */
function short(text: string): string {
  return text.replace("Sept", "Sep");
}

/** "9 Jan". */
export function day(ms: number, zone: Zone): string {
  return short(formatter("day", zone, { day: "numeric", month: "short" }).format(ms));
}

/** "9 Jan 2020". */
export function fullDay(ms: number, zone: Zone): string {
  return short(formatter("fullDay", zone, { day: "numeric", month: "short", year: "numeric" }).format(ms));
}

/** "14:03" of today, "9 Jan 14:03" of another day, "9 Jan 2020 14:03" of another year. */
export function moment(ms: number, zone: Zone, now: number): string {
  if (fullDay(ms, zone) === fullDay(now, zone)) return clock(ms, zone);
  return year(ms, zone) === year(now, zone) ? dayClock(ms, zone) : `${fullDay(ms, zone)} ${clock(ms, zone)}`;
}

/** "9 Jan 14:03". */
export function dayClock(ms: number, zone: Zone): string {
  return `${day(ms, zone)} ${clock(ms, zone)}`;
}

/** "Jan", "2020". */
export function month(ms: number, zone: Zone): string {
  return short(formatter("month", zone, { month: "short" }).format(ms));
}

export function year(ms: number, zone: Zone): string {
  return formatter("year", zone, { year: "numeric" }).format(ms);
}

/** "UTC−05:00", the offset of the zone at the time. */
export function offset(ms: number, zone: Zone): string {
  const parts = formatter("offset", zone, { timeZoneName: "longOffset" }).formatToParts(ms);
  const name = parts.find((part) => part.type === "timeZoneName")?.value ?? "GMT";
  return name.replace("GMT", "UTC").replace("-", MINUS);
}

/** Decimals that tell prices of this size apart: 4,052.30; 149.123; 1.17204; 0.00001234. */
export function decimals(price: number): number {
  const size = Math.abs(price);
  if (!(size > 0)) return 2;
  if (size >= 1000) return 2;
  if (size >= 10) return 3;
  if (size >= 0.1) return 5;
  return Math.min(12, Math.ceil(-Math.log10(size)) + 4);
}

const numbers = new Map<number, Intl.NumberFormat>();

function fixed(value: number, digits: number): string {
  let found = numbers.get(digits);
  if (!found) {
    found = new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    numbers.set(digits, found);
  }
  return found.format(value).replace("-", MINUS);
}

function given(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value);
}

/** A price, with as many decimals as `like`, or as prices of its own size have. */
export function price(value: number | undefined, like: number | undefined = value): string {
  return given(value) ? fixed(value, decimals(like ?? value)) : NONE;
}

export function number(value: number | undefined, digits = 2): string {
  return given(value) ? fixed(value, digits) : NONE;
}

/** Decimals for a value: `digits`, or below `least`, where it would look like 0, as many as show two that count. */
export function enough(value: number, digits: number, least = 0.5 * 10 ** -digits): number {
  const size = Math.abs(value);
  return size === 0 || size >= least ? digits : Math.min(12, Math.ceil(-Math.log10(size)) + 1);
}

/** "1 bar", "1,200 bars". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${integer(count)} ${count === 1 ? one : many}`;
}

export function integer(value: number | undefined): string {
  return given(value) ? fixed(value, 0) : NONE;
}

/** With a sign: "+1.20", "−0.40", "0.00". */
export function signed(value: number | undefined, digits = 2): string {
  if (!given(value)) return NONE;
  const text = fixed(Math.abs(value), digits);
  if (Number(text.replaceAll(",", "")) === 0) return text;
  return (value > 0 ? "+" : MINUS) + text;
}

/** A value in percent: with `digits` decimals, or more if it is so small that it would look like 0. */
export function percent(value: number | undefined, digits = 1): string {
  return given(value) ? `${fixed(value, enough(value, digits))}%` : NONE;
}

export function signedPercent(value: number | undefined, digits = 2): string {
  return given(value) ? `${signed(value, enough(value, digits))}%` : NONE;
}

/** A fraction as percent: 0.967 is "96.7%". */
export function share(value: number | undefined, digits = 1): string {
  return given(value) ? percent(value * 100, digits) : NONE;
}

/** "now", "8 s", "4 min", "3 h 05", "2 d 4 h". */
export function age(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  if (seconds < 1) return "now";
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")}`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** "now", "8 s ago". */
export function ago(ms: number): string {
  return ms < 1000 ? age(ms) : `${age(ms)} ago`;
}

/** "A pair": USDCOP is "USD/COP"; other symbols are as they are. */
export function pair(symbol: string): string {
  return /^[A-Z]{6}$/.test(symbol) ? `${symbol.slice(0, 3)}/${symbol.slice(3)}` : symbol;
}

/** STOP_LOSS is "stop loss". */
export function words(name: string): string {
  return name.toLowerCase().replaceAll("_", " ");
}

export function sentence(name: string): string {
  return capital(words(name));
}

/** A text that begins with a capital. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export const SIDE_MARKS: Readonly<Record<string, string>> = { BUY: "▲", SELL: "▼", HOLD: "■" };
