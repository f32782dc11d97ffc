/** Currency of the account. */

import { useSelect } from "./store";

/** Return the currency of the account, "" until it is known. */
export function useCurrency(): string {
  return useSelect((state) => state.account.value?.currency ?? "");
}
