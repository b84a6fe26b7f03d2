import CStockABI

/// Memory in chunks of up to 64 KB to which records are appended, addressed by a number that never changes. Whole chunks
/// are dropped from the front, and their numbers come round again.
///
/// A record lies in one chunk. Growing allocates one chunk and touches nothing old, so no append takes long, and what is
/// appended may refer to what is there. A new chunk has a twenty-fourth of what the list has, so that little of a
/// small bucket's memory is unused; from 1.5 MB on that is 64 KB. A chunk begins with a label, and the bytes used and allocated.
struct ChunkList: ~Copyable {
  /// A place in the list in units of `unit` bytes; never 0 for a record, because a chunk starts with its header.
  typealias Address = UInt64

  static let chunkBytes = 65536
  static let unit = 4
  static let unitsPerChunk: UInt64 = 16384
  /// Addresses of the log's list are below this: half of what a slot of `SlotTable` can hold.
  static let addressEnd: UInt64 = 1 << 33
  private static let headerBytes = 16
  private static let usedOffset = 8
  private static let capacityOffset = 12
  /// Enough for the largest record, with `wordSlack` bytes to spare behind it.
  private static let capacityMin = 512
  private static let growth = 24

  /// Numbers of chunks end here and come round.
  private let numberMask: UInt64
  /// The chunks from the oldest on.
  private var chunks: UnsafeMutablePointer<UnsafeMutableRawPointer>?
  /// Places of dropped chunks in front of them, in the same piece of memory.
  private var gone = 0
  /// The number of the oldest chunk.
  private var first: UInt64 = 0
  private var room = 0
  private(set) var count = 0
  private var used = 0
  private var capacity = 0
  /// Bytes allocated.
  private(set) var bytes = 0

  /// A list whose addresses are below `addressEnd`, a power of two.
  init(addressEnd: UInt64 = ChunkList.addressEnd) { numberMask = addressEnd / Self.unitsPerChunk &- 1 }

  deinit {
    guard let chunks else { return }
    var index = 0
    while index < count {
      stock_release((chunks + index).pointee)
      index &+= 1
    }
    stock_release(chunks - gone)
  }

  /// Where the first record of a new list will lie.
  static var start: Address { UInt64(headerBytes / unit) }

  /// Where the first record lies, or will lie.
  var firstAddress: Address { start(ofChunk: 0) }

  /// The label of the last chunk of a list that has chunks.
  var lastLabel: Int64 { label(at: start(ofChunk: count &- 1)) }

  /// Whether another record of any size can have an address.
  var hasRoom: Bool { hasRoom(for: 1) }

  /// Whether so many more chunks can have addresses.
  func hasRoom(for more: Int64) -> Bool {
    more < Int64(truncatingIfNeeded: numberMask) &- Int64(truncatingIfNeeded: count)
  }

  /// Memory for a record of `size` bytes with `wordSlack` bytes to spare. `label` names the first record of a chunk.
  mutating func append(size: Int, label: Int64) -> (address: Address, memory: UnsafeMutableRawPointer) {
    let rounded = (size &+ 3) & ~3
    let chunk = tail(withRoomFor: rounded, label: label)
    let offset = used
    used &+= rounded
    let address = number(ofChunk: count &- 1) &* Self.unitsPerChunk
    return (address | UInt64(truncatingIfNeeded: offset &>> 2), chunk + offset)
  }

  /// The memory of the record at an address that `append` gave.
  @inline(__always)
  func memory(at address: Address) -> UnsafeMutableRawPointer {
    let chunk = index(of: address)
    let offset = Int(truncatingIfNeeded: address & (Self.unitsPerChunk &- 1)) &* Self.unit
    // A list that gave an address has chunks.
    return chunks.unsafelyUnwrapped[chunk] + offset
  }

  /// The label of the chunk of an address.
  func label(at address: Address) -> Int64 {
    memory(at: address & ~(Self.unitsPerChunk &- 1)).load(as: Int64.self)
  }

  /// The address as it is, or the next chunk's start where its chunk has no record there.
  func settled(_ address: Address) -> Address {
    let chunk = index(of: address)
    let offset = Int(truncatingIfNeeded: address & (Self.unitsPerChunk &- 1)) &* Self.unit
    // No record ends with its chunk: there is `wordSlack` behind it. So the address is still one of the chunk.
    guard chunk &+ 1 < count, offset >= usedBytes(ofChunk: chunk) else { return address }
    return start(ofChunk: chunk &+ 1)
  }

  /// Drops the chunks before that of an address.
  mutating func drop(before address: Address) { drop(index(of: address)) }

  /// Drops all chunks; the next record will lie at `firstAddress`.
  mutating func dropAll() { drop(count) }

  private mutating func drop(_ dropped: Int) {
    guard let chunks, dropped > 0 else { return }
    var index = 0
    while index < dropped {
      bytes &-= number(chunks[index], Self.capacityOffset)
      stock_release(chunks[index])
      index &+= 1
    }
    self.chunks = chunks + dropped
    gone &+= dropped
    first = number(ofChunk: dropped)
    count &-= dropped
    if count == 0 {
      used = 0
      capacity = 0
    }
  }

  /// The start of the last chunk whose label is at most `label`.
  func chunkStart(label: Int64) -> Address {
    var low = 0
    var high = count
    while high &- low > 1 {
      let middle = (low &+ high) &>> 1
      if self.label(at: start(ofChunk: middle)) <= label {
        low = middle
      } else {
        high = middle
      }
    }
    return start(ofChunk: low)
  }

  @inline(__always)
  private func index(of address: Address) -> Int {
    Int(truncatingIfNeeded: (address &>> 14 &- first) & numberMask)
  }

  private func number(ofChunk index: Int) -> UInt64 {
    (first &+ UInt64(truncatingIfNeeded: index)) & numberMask
  }

  private func start(ofChunk index: Int) -> Address { number(ofChunk: index) &* Self.unitsPerChunk | Self.start }

  private func usedBytes(ofChunk chunk: Int) -> Int {
    number(chunks.unsafelyUnwrapped[chunk], Self.usedOffset)
  }

  private func number(_ chunk: UnsafeMutableRawPointer, _ offset: Int) -> Int {
    Int(truncatingIfNeeded: chunk.load(fromByteOffset: offset, as: UInt32.self))
  }

  private mutating func tail(withRoomFor size: Int, label: Int64) -> UnsafeMutableRawPointer {
    if let chunks, count > 0 {
      let last = chunks + (count &- 1)
      if used &+ size &+ wordSlack <= capacity { return last.pointee }
      last.pointee.storeBytes(of: UInt32(truncatingIfNeeded: used), toByteOffset: Self.usedOffset, as: UInt32.self)
    }
    return addChunk(label: label)
  }

  /// Never inlined: nearly every append has room.
  @inline(never)
  private mutating func addChunk(label: Int64) -> UnsafeMutableRawPointer {
    capacity = Self.capacity(after: bytes)
    bytes &+= capacity
    let chunk = stock_allocate(capacity)
    chunk.storeBytes(of: label, as: Int64.self)
    chunk.storeBytes(of: UInt32(truncatingIfNeeded: capacity), toByteOffset: Self.capacityOffset, as: UInt32.self)
    used = Self.headerBytes
    list(chunk)
    return chunk
  }

  /// The size of a chunk that is added to so many bytes: one of four in each doubling, as allocators have them.
  private static func capacity(after bytes: Int) -> Int {
    let wanted = min(max(bytes / growth, capacityMin), chunkBytes)
    let step = 1 &<< (Int.bitWidth &- 3 &- wanted.leadingZeroBitCount)
    return wanted & ~(step &- 1)
  }

  private mutating func list(_ chunk: UnsafeMutableRawPointer) {
    if gone &+ count == room { makeRoomInList() }
    if let chunks { (chunks + count).initialize(to: chunk) }
    count &+= 1
  }

  /// Moves the list to the front of its memory where half of that is free, else to a piece of twice the size.
  private mutating func makeRoomInList() {
    let stride = MemoryLayout<UnsafeMutableRawPointer>.stride
    if let chunks, gone > 0, gone >= count {
      stock_copy(chunks - gone, chunks, count &* stride)
      self.chunks = chunks - gone
      gone = 0
      return
    }
    let larger = room == 0 ? 4 : room &* 2
    let memory = stock_allocate(larger &* stride).assumingMemoryBound(to: UnsafeMutableRawPointer.self)
    if let chunks {
      stock_copy(memory, chunks, count &* stride)
      stock_release(chunks - gone)
    }
    bytes &+= (larger &- room) &* stride
    chunks = memory
    gone = 0
    room = larger
  }
}
