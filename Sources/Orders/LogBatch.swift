import Stock

/// A run of one bucket's log events, to be brought into the database together with the position after them.
public struct LogBatch: Hashable, Sendable {
  public enum Entry: Hashable, Sendable {
    /// A purchase. With `storeIfMissing` it is stored where the database has no order for it yet (in `state`); without,
    /// the batch stops before it. Where the order is there, its sequence is filled in.
    case purchased(Order, state: OrderState, storeIfMissing: Bool)
    /// A purchase moved on. Its order's state moves forward, where bucket and user (if known) are the row's; stock
    /// rises once, on leaving held or sold for cancelled.
    case moved(Token, user: UserID?, to: OrderState)
  }

  /// An event that concerns no order (create, schedule, add, …) only moves the position.
  public struct Step: Hashable, Sendable {
    public var sequence: Int64
    public var entry: Entry?

    public init(sequence: Int64, entry: Entry?) {
      self.sequence = sequence
      self.entry = entry
    }
  }

  public var bucket: BucketID
  /// Where the database is believed to be; a batch that starts elsewhere changes nothing.
  public var from: LogPosition
  /// In the log's order, without gaps, the first right after `from`.
  public var steps: [Step]

  public init(bucket: BucketID, from: LogPosition, steps: [Step]) {
    self.bucket = bucket
    self.from = from
    self.steps = steps
  }
}

/// What became of a batch of log events. Durable when the call returns.
public struct LogBatchOutcome: Hashable, Sendable {
  /// What an operator or the caller must know of a step.
  public enum Finding: Hashable, Sendable {
    /// No message had brought it; it is an order now.
    case stored(Order)
    /// The stock was short: stored as rejected. Its deduction must be cancelled, off sale.
    case rejected(Order)
    /// The token's row has another user, quantity or bucket; nothing changed.
    case conflict(Order, with: StoredOrder)
  }

  /// The position that the database holds now.
  public var position: LogPosition
  /// False where another worker had moved the position, or the epoch differs: nothing was changed.
  public var applied: Bool
  /// The sequence of the purchase before which the batch stopped: it has no order yet, and its message may still come.
  public var waitingFor: Int64?
  public var findings: [Finding]

  public init(position: LogPosition, applied: Bool, waitingFor: Int64?, findings: [Finding]) {
    self.position = position
    self.applied = applied
    self.waitingFor = waitingFor
    self.findings = findings
  }
}
