import Stock

/// A run of one bucket's log events, to be brought into the database together with the position after them.
public struct LogBatch: Hashable, Sendable {
  public enum Entry: Hashable, Sendable {
    /// A purchase. Where its order is there, its sequence is filled in and its state moves forward to `state`, as
    /// ``moved(_:user:to:)`` does. Where it is not, `storeIfMissing` stores it in `state`; without, the batch stops.
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
  /// A purchase before which the batch stopped. It stays in front of the position until its caller has done what the
  /// reason asks for, so that a crash forgets nothing.
  public struct Stop: Hashable, Sendable {
    public enum Reason: Hashable, Sendable {
      /// It has no order yet, and its message may still come.
      case missing
      /// It was to be stored, and the product's stock is short.
      case short(stock: Int64)
      /// It is held or sold, and its order was rejected: its deduction must be cancelled, off sale.
      case rejected
      /// It is held or sold, and the token's row has another user, quantity or bucket: its deduction must be given back.
      case conflict(StoredOrder)
    }

    public var sequence: Int64
    public var reason: Reason

    public init(sequence: Int64, reason: Reason) {
      self.sequence = sequence
      self.reason = reason
    }
  }

  /// The position that the database holds now.
  public var position: LogPosition
  /// False where another worker had moved the position, or the epoch differs: nothing was changed.
  public var applied: Bool
  /// Where the batch stopped before its end. What comes before it is in the database.
  public var stop: Stop?
  /// How many orders the batch has stored: those that no message had brought.
  public var stored: Int

  public init(position: LogPosition, applied: Bool, stop: Stop? = nil, stored: Int = 0) {
    self.position = position
    self.applied = applied
    self.stop = stop
    self.stored = stored
  }
}
