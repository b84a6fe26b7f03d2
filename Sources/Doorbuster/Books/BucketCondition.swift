import Orders
import Stock

/// What has become of a bucket, by the database and by itself.
enum BucketCondition: Hashable, Sendable {
  /// The database follows it, and it sells.
  case sound
  /// It is not there.
  case lost
  /// It sells nothing until it is complete again: it was created so, or may lack what it had acknowledged.
  case frozen(FrozenReason)
  /// It sells, and is another one than the database has followed, or lacks events.
  case strayed
  /// An operator has frozen it; it may lack what the database has.
  case stoppedByOperator(isSound: Bool)
  /// It belongs to a sale of other numbers.
  case foreign(String)

  init(_ index: Int, of sale: Sale, position: LogPosition?, info: BucketInfo?) {
    guard let info else {
      self = .lost
      return
    }
    let share = sale.share(of: sale.stock, bucket: index)
    guard info.created == share, info.buckets == sale.terms.buckets else {
      self = .foreign(
        "it was created with \(info.created) units as one of \(info.buckets) buckets; the sale has \(share) there, in \(sale.terms.buckets)"
      )
      return
    }
    let isSound = position?.isFollowed(in: info) ?? false
    switch info.frozen {
    case nil: self = isSound ? .sound : .strayed
    case .operator: self = .stoppedByOperator(isSound: isSound)
    case .create: self = .frozen(.create)
    case .load: self = .frozen(.load)
    case .promotion: self = .frozen(.promotion)
    }
  }

  /// Whether it is to be compared with all that knows of it, and written in what it lacks.
  var needsWork: Bool {
    switch self {
    case .sound, .foreign, .stoppedByOperator(isSound: true): false
    case .lost, .frozen, .strayed, .stoppedByOperator(isSound: false): true
    }
  }
}

extension LogPosition {
  /// Whether the bucket's log goes on from here.
  func isFollowed(in info: BucketInfo) -> Bool {
    epoch == info.epoch && sequence <= info.logLast && sequence >= info.logFirst - 1
  }
}

/// All buckets of a sale, as they were found.
struct SaleCondition: Hashable, Sendable {
  var buckets: [BucketCondition]

  init(_ sale: Sale, positions: [Int: LogPosition], infos: [BucketInfo?]) {
    buckets = infos.enumerated().map { index, info in
      BucketCondition(index, of: sale, position: positions[index], info: info)
    }
  }

  var lost: [Int] { indices { $0 == .lost } }

  /// Those that need work, lost ones among them.
  var needingWork: [Int] { indices(where: \.needsWork) }

  /// Those that are frozen until they are complete.
  var frozen: [Int] {
    indices {
      if case .frozen = $0 { true } else { false }
    }
  }

  /// The first that is another sale's, and why.
  var foreign: (index: Int, reason: String)? {
    for (index, condition) in buckets.enumerated() {
      if case .foreign(let reason) = condition { return (index, reason) }
    }
    return nil
  }

  private func indices(where isWanted: (BucketCondition) -> Bool) -> [Int] {
    buckets.indices.filter { isWanted(buckets[$0]) }
  }
}

/// How buckets are completed.
public struct RecoverySettings: Sendable {
  /// How long after its discovery a bucket of a promoted replica stays frozen at least: the old master must have stopped
  /// taking writes by then. Longer than the servers' `min-replicas-max-lag` and `cluster-node-timeout`.
  public var promotionGrace: Duration = .seconds(15)
  /// The same after any other loss: a purchase that was deducted before it is committed by then, and units that it had
  /// given away have arrived. At least the purchases' deadline, and two seconds longer than a command may be under way (the
  /// driver's time-out, 5 s unless set).
  public var restartGrace: Duration = .seconds(7)
  /// How long messages that are not acknowledged are waited for: their purchases may be lost in the bucket.
  public var drainMax: Duration = .seconds(30)
  /// A hold that was written in has no end of its own. It is cancelled when its order is older than that: longer than any
  /// hold of the shop.
  public var holdMax: Duration = .seconds(900)

  public init() {}

  /// How long the thaw of such a bucket must wait. After a promotion, which an operator's freeze may hide, the old master may
  /// still be taking writes; after any loss, purchases that were accepted before it may still be about to be committed.
  func grace(of reason: FrozenReason?) -> Duration {
    switch reason {
    case .promotion, .operator: max(promotionGrace, restartGrace)
    case .create, .load, nil: restartGrace
    }
  }

  /// - Throws: ``InvalidInput`` that names the setting.
  func validate() throws(InvalidInput) {
    for (name, value) in [
      ("promotionGrace", promotionGrace), ("restartGrace", restartGrace), ("drainMax", drainMax), ("holdMax", holdMax),
    ] where value < .zero {
      throw InvalidInput(argument: name, value: "\(value)".utf8, requirement: "0 or more")
    }
  }
}
