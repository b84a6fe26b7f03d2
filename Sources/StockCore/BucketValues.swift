import CStockABI

// A bucket for callers of ordinary Swift: arguments and results own their bytes. Tests, the simulator and planners use it;
// the module does not.
#if !hasFeature(Embedded)
  /// An event of the log that owns its bytes.
  public struct LoggedEvent: Equatable, Sendable {
    public var sequence: Int64
    public var action: Action
    /// Nil for events of the bucket itself.
    public var token: [UInt8]?
    /// Nil where no user is known.
    public var user: [UInt8]?
    /// Available units after the event minus before.
    public var change: Int64
    public var from: Int64
    public var to: Int64
    /// Milliseconds since 1970 by the master's clock.
    public var timestamp: Int64

    public init(
      sequence: Int64,
      action: Action,
      token: [UInt8]?,
      user: [UInt8]?,
      change: Int64,
      from: Int64,
      to: Int64,
      timestamp: Int64
    ) {
      self.sequence = sequence
      self.action = action
      self.token = token
      self.user = user
      self.change = change
      self.from = from
      self.to = to
      self.timestamp = timestamp
    }

    init(_ event: Event) {
      self.init(
        sequence: event.sequence,
        action: event.effect.action,
        token: event.token.array,
        user: event.user.array,
        change: event.to &- event.from,
        from: event.from,
        to: event.to,
        timestamp: event.timestamp
      )
    }
  }

  /// What a bucket knows of a token, owning its bytes.
  public struct KnownToken: Equatable, Sendable {
    /// The event that first took the token. Where it was trimmed, only token, sequence and action are known.
    public var first: LoggedEvent
    /// 0 for a fence, which has no user either.
    public var quantity: Int64
    public var state: PurchaseState
    /// When the hold ends, 0 unless it is held until then.
    public var expires: Int64
    /// Whether that event was trimmed, and is not known in full any more.
    public var isTrimmed: Bool
    public var isFence: Bool
  }

  /// A transfer as its bucket knows it, owning its bytes.
  public struct KnownTransfer: Equatable, Sendable {
    public var name: [UInt8]
    public var direction: Direction
    /// The other bucket's number.
    public var peer: UInt16
    public var quantity: Int64
    /// Milliseconds since 1970 by the master's clock.
    public var timestamp: Int64
    public var isSettled: Bool
  }

  /// A request or payload that can't be served.
  public struct StockError: Error, Equatable {
    public var fault: Fault

    public init(fault: Fault) { self.fault = fault }
  }

  extension Bytes {
    var array: [UInt8]? {
      start.map { [UInt8](UnsafeRawBufferPointer(start: $0, count: count)) }
    }
  }

  extension [UInt8] {
    func withBytes<Result>(_ body: (Bytes) -> Result) -> Result {
      withUnsafeBytes { body(Bytes(start: $0.baseAddress, count: $0.count)) }
    }
  }
#endif
