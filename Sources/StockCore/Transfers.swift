import CStockABI

/// A transfer as it lies in memory: the addresses of the open ones after and before it, the sequence of its event, time,
/// quantity, peer, flags, and its name behind the length.
private struct TransferRecord {
  private static let sequenceOffset = 16
  private static let timestampOffset = 24
  private static let quantityOffset = 32
  private static let peerOffset = 40
  private static let flagsOffset = 42
  private static let countOffset = 43
  private static let headerBytes = 44
  private static let incomingFlag: UInt8 = 0x01
  private static let settledFlag: UInt8 = 0x02

  private let base: UnsafeMutableRawPointer

  init(at base: UnsafeMutableRawPointer) { self.base = base }

  static func size(of transfer: Transfer) -> Int { headerBytes &+ transfer.name.count }

  static func write(_ transfer: Transfer, to base: UnsafeMutableRawPointer) {
    stock_clear(base, sequenceOffset)
    (base + sequenceOffset).store(word: UInt64(truncatingIfNeeded: transfer.sequence))
    (base + timestampOffset).store(word: UInt64(truncatingIfNeeded: transfer.timestamp))
    (base + quantityOffset).store(word: UInt64(truncatingIfNeeded: transfer.quantity))
    base.storeBytes(of: transfer.peer, toByteOffset: peerOffset, as: UInt16.self)
    let direction = transfer.direction == .incoming ? incomingFlag : 0
    base.storeBytes(
      of: direction | (transfer.is_settled ? settledFlag : 0),
      toByteOffset: flagsOffset,
      as: UInt8.self
    )
    base.storeBytes(of: UInt8(truncatingIfNeeded: transfer.name.count), toByteOffset: countOffset, as: UInt8.self)
    (base + headerBytes).store(bytes: transfer.name)
  }

  /// The open transfers made after and before this one; 0 for none. Of a settled one they mean nothing.
  var next: UInt64 {
    get { UnsafeRawPointer(base).word(at: 0) }
    nonmutating set { base.store(word: newValue) }
  }
  var previous: UInt64 {
    get { UnsafeRawPointer(base).word(at: 8) }
    nonmutating set { (base + 8).store(word: newValue) }
  }

  var isSettled: Bool { flags & Self.settledFlag != 0 }

  func markSettled() {
    base.storeBytes(of: flags | Self.settledFlag, toByteOffset: Self.flagsOffset, as: UInt8.self)
  }

  var name: Bytes {
    let count = Int(base.load(fromByteOffset: Self.countOffset, as: UInt8.self))
    return Bytes(start: UnsafeRawPointer(base + Self.headerBytes), count: count)
  }

  /// Its size in the units of `ChunkList`.
  var units: UInt64 { UInt64(truncatingIfNeeded: (Self.headerBytes &+ name.count &+ 3) &>> 2) }

  var transfer: Transfer {
    let bytes = UnsafeRawPointer(base)
    return Transfer(
      name: name,
      quantity: Int64(truncatingIfNeeded: bytes.word(at: Self.quantityOffset)),
      timestamp: Int64(truncatingIfNeeded: bytes.word(at: Self.timestampOffset)),
      sequence: Int64(truncatingIfNeeded: bytes.word(at: Self.sequenceOffset)),
      peer: base.loadUnaligned(fromByteOffset: Self.peerOffset, as: UInt16.self),
      direction: flags & Self.incomingFlag != 0 ? .incoming : .outgoing,
      is_settled: isSettled
    )
  }

  private var flags: UInt8 { base.load(fromByteOffset: Self.flagsOffset, as: UInt8.self) }
}

/// The transfers of a bucket, open and settled, in order of making. None is ever forgotten, so that a late step of one is
/// known for what it is.
struct Transfers: ~Copyable {
  private var table = SlotTable()
  private var entries = ChunkList()
  private var lastAddress: UInt64 = 0
  private var firstOpen: UInt64 = 0
  private var lastOpen: UInt64 = 0
  private(set) var count: Int64 = 0
  private(set) var openCount: Int64 = 0
  /// How many of them, the first, lie before the log: their events are trimmed.
  private(set) var trimmedCount: Int64 = 0

  /// Bytes allocated.
  var bytes: Int { table.bytes &+ entries.bytes }
  var pieces: Int { table.pieces &+ entries.count }

  func find(_ name: Bytes, _ hash: UInt64) -> SlotTable.Place {
    table.find(hash) { record(at: $0).name.equals(name) }
  }

  func transfer(at address: UInt64) -> Transfer { record(at: address).transfer }

  /// Makes sure that a place that no transfer matched has its slot, and that there is room for another transfer.
  mutating func reserve(_ hash: UInt64, _ place: inout SlotTable.Place) -> Bool {
    entries.hasRoom && table.reserve(hash, &place)
  }

  /// Adds a transfer at a place that is reserved. Its event is in the log, or is trimmed: then all before it are too.
  mutating func insert(_ transfer: Transfer, _ hash: UInt64, at place: SlotTable.Place, isTrimmed: Bool) {
    let entry = entries.append(size: TransferRecord.size(of: transfer), label: 0)
    TransferRecord.write(transfer, to: entry.memory)
    table.insert(hash, entry.address, at: place)
    lastAddress = entry.address
    count &+= 1
    if isTrimmed { trimmedCount &+= 1 }
    if !transfer.is_settled { open(entry.address) }
    entries.makeRoom()
  }

  /// Closes the transfer at an address; false where it is closed.
  mutating func settle(at address: UInt64) -> Bool {
    let settled = record(at: address)
    if settled.isSettled { return false }
    settled.markSettled()
    let (next, previous) = (settled.next, settled.previous)
    if previous == 0 { firstOpen = next } else { record(at: previous).next = next }
    if next == 0 { lastOpen = previous } else { record(at: next).previous = previous }
    openCount &-= 1
    return true
  }

  /// Notes that the event of the next transfer in the log is trimmed.
  mutating func trimNext() { trimmedCount &+= 1 }

  /// The address of the first transfer, or of the first that is made after that of an address: of all, or of the open.
  /// 0 for none.
  func address(after address: UInt64, openOnly: Bool) -> UInt64 {
    guard openOnly else {
      if address == 0 { return count == 0 ? 0 : entries.firstAddress }
      return address == lastAddress ? 0 : entries.settled(address &+ record(at: address).units)
    }
    if address != 0 && !record(at: address).isSettled { return record(at: address).next }
    var next = firstOpen
    while next != 0 && next <= address { next = record(at: next).next }
    return next
  }

  private func record(at address: UInt64) -> TransferRecord { TransferRecord(at: entries.memory(at: address)) }

  private mutating func open(_ address: UInt64) {
    record(at: address).previous = lastOpen
    if lastOpen == 0 { firstOpen = address } else { record(at: lastOpen).next = address }
    lastOpen = address
    openCount &+= 1
  }
}
