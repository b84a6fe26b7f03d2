import Orders

/// How a ``MySQLStore`` works.
public struct MySQLStoreOptions: Sendable {
  public var strategy: HotRowStrategy
  /// Connections, each with a thread of its own, made as they are needed; 1 to 1,024.
  public var connectionsMax: Int
  public var connectTimeoutMs: Int
  /// How long an answer of the server may take. More than `lockWaitMs`, or a lock that takes its time would be taken for
  /// a dead server.
  public var readTimeoutMs: Int
  public var writeTimeoutMs: Int
  /// How long a statement waits for another's locks, on rows and on tables. The server counts in whole seconds.
  public var lockWaitMs: Int
  /// Orders of one transaction with `groupCommit`, 1 to 65,536.
  public var batchMax: Int
  /// Whether arrays of parameters are used where the server takes them (MariaDB). Without them, and on MySQL, several rows
  /// go into one statement.
  public var usesArrays: Bool

  public init(
    strategy: HotRowStrategy = .groupCommit,
    connectionsMax: Int = 8,
    connectTimeoutMs: Int = 5_000,
    readTimeoutMs: Int = 30_000,
    writeTimeoutMs: Int = 30_000,
    lockWaitMs: Int = 5_000,
    batchMax: Int = 4_096,
    usesArrays: Bool = true
  ) {
    self.strategy = strategy
    self.connectionsMax = connectionsMax
    self.connectTimeoutMs = connectTimeoutMs
    self.readTimeoutMs = readTimeoutMs
    self.writeTimeoutMs = writeTimeoutMs
    self.lockWaitMs = lockWaitMs
    self.batchMax = batchMax
    self.usesArrays = usesArrays
  }

  /// - Throws: `refused` for a setting outside its bounds.
  func validate() throws(OrderStoreError) {
    func require(_ name: String, _ value: Int, _ bounds: ClosedRange<Int>) throws(OrderStoreError) {
      guard !bounds.contains(value) else { return }
      let bound = "\(bounds.lowerBound) to \(bounds.upperBound)"
      throw OrderStoreError(.refused, "\(name) is \(value); it must be \(bound)")
    }
    let hour = 3_600_000
    try require("connectionsMax", connectionsMax, 1...1_024)
    try require("connectTimeoutMs", connectTimeoutMs, 1...hour)
    try require("readTimeoutMs", readTimeoutMs, 1...hour)
    try require("writeTimeoutMs", writeTimeoutMs, 1...hour)
    try require("lockWaitMs", lockWaitMs, 1...hour)
    try require("batchMax", batchMax, 1...65_536)
  }
}
