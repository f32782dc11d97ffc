/**
 * The errors of a call.
 *
 * ```
 * TradingSignalsError
 * ├── InvalidRequest        a field cannot be accepted; `violations` names each (INVALID_ARGUMENT)
 * ├── NotFound              there is no such signal or position (NOT_FOUND)
 * ├── AlreadyExists         another bar is stored for the time, or the key was used for another call (ALREADY_EXISTS)
 * ├── FailedPrecondition    the request is right, the state of things is not (FAILED_PRECONDITION)
 * ├── OutOfRange            the stream cannot be resumed from there (OUT_OF_RANGE)
 * │   ├── EpochChanged      the log that was followed does not exist any more: a new database, or an older copy
 * │   └── EventsPruned      events that were not handed out yet are no longer kept
 * ├── TooLarge              the request or its response exceeds a size limit (RESOURCE_EXHAUSTED without a reason)
 * ├── AccessDenied          the caller is unknown or lacks the permission (UNAUTHENTICATED, PERMISSION_DENIED)
 * ├── CallCanceled          the caller ended the call, by its AbortSignal or by close()
 * ├── InternalError         a defect of the service, or a call that it does not know
 * └── TemporaryError        the same call may well succeed later: `retryable` is true
 *     ├── Unavailable       the service, its database or the network is down (UNAVAILABLE, a broken connection)
 *     ├── Overloaded        the service is overloaded, or the follower was too slow (RESOURCE_EXHAUSTED)
 *     └── DeadlineExceeded  no response in time; the service may have done the call all the same (DEADLINE_EXCEEDED)
 * ```
 */
import { Code, ConnectError } from "@connectrpc/connect";

import { BadRequestSchema, ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import type { ErrorReason } from "./gen/tradingsignals/v1/error_reason_pb.js";

/** A name of ErrorReason, "" if the service itself was not reached, or one that newer services have. */
export type Reason = keyof typeof ErrorReason | "" | (string & {});

/** One field that was refused, and why; `field` is its path in the request, in snake case. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** What an error is made of, besides its message. */
export interface ErrorFacts {
  readonly code?: Code;
  readonly reason?: Reason;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly FieldViolation[];
  readonly cause?: unknown;
}

/** A call that failed. */
export class TradingSignalsError extends Error {
  override readonly name: string = "TradingSignalsError";
  /** Whether the same call may succeed later. */
  readonly retryable: boolean = false;
  /** The gRPC status code. */
  readonly code: Code;
  readonly reason: Reason;
  /** What the reason is about, such as symbol or position_id; see ErrorReason. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The fields that were refused, if any. */
  readonly violations: readonly FieldViolation[];

  constructor(message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = facts.code ?? Code.Unknown;
    this.reason = facts.reason ?? "";
    this.metadata = facts.metadata ?? {};
    this.violations = facts.violations ?? [];
  }
}

/** One or more fields cannot be accepted. */
export class InvalidRequest extends TradingSignalsError {
  override readonly name: string = "InvalidRequest";
}

/** There is no such signal or position. */
export class NotFound extends TradingSignalsError {
  override readonly name: string = "NotFound";
}

/** A different bar is stored for the same symbol and time. */
export class AlreadyExists extends TradingSignalsError {
  override readonly name: string = "AlreadyExists";
}

/** The request is valid, the state of the service is not: the position is closed, the bars are too few. */
export class FailedPrecondition extends TradingSignalsError {
  override readonly name: string = "FailedPrecondition";
}

/** The stream cannot be resumed there: the events are pruned (metadata: oldest_sequence) or of another log. */
export class OutOfRange extends TradingSignalsError {
  override readonly name: string = "OutOfRange";
}

/**
 * The log that was followed does not exist any more: the database is new, or was set back to an older state. Sequences
 * of two logs are unrelated, so state that was derived from the old log must be checked.
 */
export class EpochChanged extends OutOfRange {
  override readonly name: string = "EpochChanged";

  /**
   * @param sequence how far the old log was followed
   * @param oldEpoch the old log; undefined if it was never known
   * @param epoch the new log, the same as before if the database was set back; undefined if it is not known
   * @param cause the error of the call, if there was one
   */
  constructor(
    readonly sequence: bigint,
    readonly oldEpoch: string | undefined,
    readonly epoch: string | undefined,
    cause?: unknown,
  ) {
    const what = epoch !== undefined && epoch === oldEpoch ? "was set back" : `is another one now, ${epoch ?? "unknown"}`;
    super(`the event log ${oldEpoch === undefined ? "" : `${oldEpoch} `}followed up to ${sequence} ${what}`, {
      code: Code.OutOfRange,
      reason: "SEQUENCE_UNKNOWN",
      metadata: epoch === undefined ? {} : { epoch },
      cause,
    });
  }
}

/** Events that were not handed out yet are no longer kept. */
export class EventsPruned extends OutOfRange {
  override readonly name: string = "EventsPruned";

  /**
   * @param sequence how far the log was followed
   * @param oldestSequence the oldest event that is kept; following with `resumeAfter` one less goes on with it
   * @param cause the error of the call
   */
  constructor(
    readonly sequence: bigint,
    readonly oldestSequence: bigint,
    cause?: unknown,
  ) {
    super(`events after ${sequence} are no longer all kept; the oldest kept is ${oldestSequence}`, {
      code: Code.OutOfRange,
      reason: "SEQUENCE_PRUNED",
      metadata: { oldest_sequence: String(oldestSequence) },
      cause,
    });
  }
}

/** The request, its response or its metadata exceeds a size limit; the same call will fail again. */
export class TooLarge extends TradingSignalsError {
  override readonly name: string = "TooLarge";
}

/** The caller is unknown, or lacks the permission. */
export class AccessDenied extends TradingSignalsError {
  override readonly name: string = "AccessDenied";
}

/** The caller ended the call, by its AbortSignal or by closing the client. */
export class CallCanceled extends TradingSignalsError {
  override readonly name: string = "CallCanceled";
}

/** A defect of the service, or a call that it does not know; the same call will fail again. */
export class InternalError extends TradingSignalsError {
  override readonly name: string = "InternalError";
}

/** The same call may well succeed later. */
export class TemporaryError extends TradingSignalsError {
  override readonly name: string = "TemporaryError";
  override readonly retryable: boolean = true;
}

/** The service, its database or the network is down. */
export class Unavailable extends TemporaryError {
  override readonly name: string = "Unavailable";
}

/** The service is overloaded, or the follower of a stream was too slow. */
export class Overloaded extends TemporaryError {
  override readonly name: string = "Overloaded";
}

/** No response came in time; the service may have done the call all the same. */
export class DeadlineExceeded extends TemporaryError {
  override readonly name: string = "DeadlineExceeded";
}

type ErrorKind = new (message: string, facts: ErrorFacts) => TradingSignalsError;

const KINDS: ReadonlyMap<Code, ErrorKind> = /* @__PURE__ */ new Map<Code, ErrorKind>([
  [Code.InvalidArgument, InvalidRequest],
  [Code.NotFound, NotFound],
  [Code.AlreadyExists, AlreadyExists],
  [Code.FailedPrecondition, FailedPrecondition],
  [Code.OutOfRange, OutOfRange],
  [Code.Unauthenticated, AccessDenied],
  [Code.PermissionDenied, AccessDenied],
  [Code.Unavailable, Unavailable],
  [Code.ResourceExhausted, Overloaded],
  [Code.DeadlineExceeded, DeadlineExceeded],
]);

/**
 * Return the error of this package for one that a transport has thrown.
 *
 * @param error what was thrown
 * @param canceled whether the caller had ended the call
 */
export function typedError(error: unknown, canceled = false): TradingSignalsError {
  if (error instanceof TradingSignalsError) return error;
  const status = ConnectError.from(error);
  const [info] = status.findDetails(ErrorInfoSchema);
  const [bad] = status.findDetails(BadRequestSchema);
  const kind = canceled ? CallCanceled : info === undefined ? kindWithoutInfo(status) : (KINDS.get(status.code) ?? InternalError);
  return new kind(status.rawMessage, {
    code: canceled ? Code.Canceled : status.code,
    reason: info?.reason ?? "",
    metadata: info?.metadata ?? {},
    violations: (bad?.fieldViolations ?? []).map(({ field, description }) => ({ field, description })),
    cause: error,
  });
}

/** The service gives each error a reason. Without one, it comes from the connection or from a proxy on the way. */
function kindWithoutInfo(status: ConnectError): ErrorKind {
  switch (status.code) {
    case Code.Internal:
    case Code.Unknown:
    case Code.Canceled:
    case Code.Aborted:
      return Unavailable;
    case Code.InvalidArgument: // what a stream that is cut within a message looks like
      return status.rawMessage.startsWith("protocol error") ? Unavailable : InvalidRequest;
    case Code.ResourceExhausted: // gRPC itself uses this code for what exceeds a size limit, HTTP/2 for too many requests
      return status.rawMessage.startsWith("http/2") ? Overloaded : TooLarge;
    default:
      return KINDS.get(status.code) ?? InternalError;
  }
}
