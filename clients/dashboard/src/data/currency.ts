/** Currency of the account. */

export function useCurrency(): string {
  return "USD";
}
