import Synchronization

/// What a process knows to be sold out, by product and smallest refused quantity, so that the crowd after a sell-out is
/// answered without asking a bucket.
///
/// It knows only what it is told: ``declare(_:quantity:asOf:)`` after buckets were asked, and forgets by ``clear(_:at:)``
/// when units come back, and by age. It must answer only attempts that are known to be first ones: a token that is sent
/// again has to hear its first outcome, which a bucket alone knows.
///
/// The time is an argument, so that a simulated world can have its own. Reading takes no lock.
public final class SoldOutCache: @unchecked Sendable {
  /// How long a declaration holds while restocks, cancels and expiries elsewhere are heard of.
  public let ageMax: Duration
  /// How long it holds while they are not.
  public let ageMaxUnwatched: Duration

  /// One product. Never moved or freed while the cache lives, so that readers need no protection.
  private struct Entry: ~Copyable {
    let sku: SKU
    /// Odd while the two values below are being changed.
    let version = Atomic<UInt64>(0)
    /// Fewer units than this are there.
    let quantity = Atomic<Int64>(.max)
    /// From then on nothing is known.
    let untilNs = Atomic<Int64>(.min)
    /// Declarations that are not younger are void.
    let clearedNs = Atomic<Int64>(.min)
  }

  private typealias Slot = Atomic<UnsafeMutablePointer<Entry>?>

  private let slots: UnsafeMutablePointer<Slot>
  private let mask: Int
  /// Guards all changes, and counts the products.
  private let products = Mutex(0)
  private let watched = Atomic<Bool>(false)
  /// For all products together, and for those that have no entry.
  private let clearedNs = Atomic<Int64>(.min)
  private let start = ContinuousClock.now

  /// Products that one cache can know; what is beyond is not cached.
  public static let productsMax = 8192

  /// - Parameters:
  ///   - ageMax: the bound within which an answer may be out of date; 1 s unless told.
  ///   - ageMaxUnwatched: the same while nothing is heard of what others put back; a tenth of it unless told.
  public init(ageMax: Duration = .seconds(1), ageMaxUnwatched: Duration? = nil) {
    self.ageMax = ageMax
    self.ageMaxUnwatched = ageMaxUnwatched ?? ageMax / 10
    // Twice the room keeps runs of taken places short.
    let count = 2 * Self.productsMax
    mask = count - 1
    slots = .allocate(capacity: count)
    for index in 0..<count { (slots + index).initialize(to: Slot(nil)) }
  }

  deinit {
    for index in 0...mask {
      if let entry = slots[index].load(ordering: .relaxed) {
        entry.deinitialize(count: 1)
        entry.deallocate()
      }
    }
    slots.deinitialize(count: mask + 1)
    slots.deallocate()
  }

  /// Whether changes elsewhere are heard of at the moment. Losing sight of them clears the cache.
  public var isWatched: Bool { watched.load(ordering: .relaxed) }

  /// Whether that many units of the product are known not to be there: at an instant not longer ago than the bound.
  public func isSoldOut(_ sku: SKU, quantity: Int64, at now: ContinuousClock.Instant = .now) -> Bool {
    guard let entry = entry(of: sku) else { return false }
    let version = entry.pointee.version.load(ordering: .acquiring)
    let refused = entry.pointee.quantity.load(ordering: .relaxed)
    let untilNs = entry.pointee.untilNs.load(ordering: .relaxed)
    atomicMemoryFence(ordering: .acquiring)
    // Whoever meets a change asks the bucket.
    guard version.isMultiple(of: 2), entry.pointee.version.load(ordering: .relaxed) == version else { return false }
    return quantity >= refused && nanoseconds(now) < untilNs
  }

  /// Notes that, at some instant after `asOf`, fewer than `quantity` units of the product were there: on sale and in
  /// transfer, over all its buckets. `asOf` is a time before the first of them was asked; what was cleared since is not
  /// declared.
  public func declare(_ sku: SKU, quantity: Int64, asOf: ContinuousClock.Instant) {
    let asOfNs = nanoseconds(asOf)
    products.withLock { count in
      guard let entry = entry(of: sku) ?? insert(sku, &count) else { return }
      guard asOfNs > entry.pointee.clearedNs.load(ordering: .relaxed), asOfNs > clearedNs.load(ordering: .relaxed)
      else { return }
      let untilNs = asOfNs + (isWatched ? ageMax : ageMaxUnwatched).wholeNanoseconds
      let refused = entry.pointee.quantity.load(ordering: .relaxed)
      let refusedUntilNs = entry.pointee.untilNs.load(ordering: .relaxed)
      // A smaller quantity says more, as long as it holds.
      let saysMore =
        quantity < refused || asOfNs >= refusedUntilNs || (quantity == refused && untilNs > refusedUntilNs)
      guard saysMore else { return }
      set(entry, quantity: quantity, untilNs: untilNs)
    }
  }

  /// Units of the product came back, or may have.
  public func clear(_ sku: SKU, at now: ContinuousClock.Instant = .now) {
    let nowNs = nanoseconds(now)
    products.withLock { _ in
      guard let entry = entry(of: sku) else {
        raise(clearedNs, to: nowNs)
        return
      }
      raise(entry.pointee.clearedNs, to: nowNs)
      set(entry, quantity: .max, untilNs: .min)
    }
  }

  /// Forgets everything.
  public func clearAll(at now: ContinuousClock.Instant = .now) {
    let nowNs = nanoseconds(now)
    products.withLock { _ in clearAll(nowNs) }
  }

  /// Says whether all changes elsewhere are heard of from now on.
  public func watch(_ isWatched: Bool, at now: ContinuousClock.Instant = .now) {
    let nowNs = nanoseconds(now)
    products.withLock { _ in
      guard watched.exchange(isWatched, ordering: .relaxed) != isWatched else { return }
      // What came back before the watch began, or was missed when it ended, is not known.
      clearAll(nowNs)
    }
  }
}

extension SoldOutCache {
  private func clearAll(_ nowNs: Int64) {
    raise(clearedNs, to: nowNs)
    for index in 0...mask {
      if let entry = slots[index].load(ordering: .relaxed) { set(entry, quantity: .max, untilNs: .min) }
    }
  }

  private func entry(of sku: SKU) -> UnsafeMutablePointer<Entry>? {
    var index = sku.hashValue & mask
    while let entry = slots[index].load(ordering: .acquiring) {
      if entry.pointee.sku == sku { return entry }
      index = (index + 1) & mask
    }
    return nil
  }

  private func insert(_ sku: SKU, _ count: inout Int) -> UnsafeMutablePointer<Entry>? {
    guard count < Self.productsMax else { return nil }
    count += 1
    let entry = UnsafeMutablePointer<Entry>.allocate(capacity: 1)
    entry.initialize(to: Entry(sku: sku))
    var index = sku.hashValue & mask
    while slots[index].load(ordering: .relaxed) != nil { index = (index + 1) & mask }
    slots[index].store(entry, ordering: .releasing)
    return entry
  }

  private func set(_ entry: UnsafeMutablePointer<Entry>, quantity: Int64, untilNs: Int64) {
    entry.pointee.version.wrappingAdd(1, ordering: .relaxed)
    atomicMemoryFence(ordering: .releasing)
    entry.pointee.quantity.store(quantity, ordering: .relaxed)
    entry.pointee.untilNs.store(untilNs, ordering: .relaxed)
    entry.pointee.version.wrappingAdd(1, ordering: .releasing)
  }

  private func raise(_ value: borrowing Atomic<Int64>, to nowNs: Int64) {
    value.store(max(value.load(ordering: .relaxed), nowNs), ordering: .relaxed)
  }

  private func nanoseconds(_ now: ContinuousClock.Instant) -> Int64 { start.duration(to: now).wholeNanoseconds }
}

extension Duration {
  /// Saturates at ±292 years.
  fileprivate var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (nanoseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    guard !overflow else { return seconds < 0 ? .min : .max }
    let (sum, sumOverflow) = nanoseconds.addingReportingOverflow(attoseconds / 1_000_000_000)
    return sumOverflow ? (seconds < 0 ? .min : .max) : sum
  }
}
