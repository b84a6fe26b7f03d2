import CStockABI

/// Memory in chunks of 64 KB to which records are appended, addressed by a number that never changes though the memory
/// may move. Whole chunks are dropped from the front, and their numbers come round again.
///
/// A record lies in one chunk. Growing allocates one chunk and touches nothing old, so no append takes long; only the
/// first chunk starts small, so that a small bucket stays small, and `makeRoom` copies it as it doubles. No append moves
/// memory: what is appended may refer to what is there.
struct ChunkList: ~Copyable {
  /// A place in the list in units of `unit` bytes; never 0 for a record, because a chunk starts with its header.
  typealias Address = UInt64

  static let chunkBytes = 65536
  static let unit = 4
  static let unitsPerChunk: UInt64 = 16384
  /// Addresses of the log's list are below this: half of what a slot of `SlotTable` can hold.
  static let addressEnd: UInt64 = 1 << 33
  private static let headerBytes = 16
  private static let firstCapacity = 512
  /// No record is larger, with `wordSlack` bytes to spare behind it.
  private static let recordBytesMax = 328

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

  /// Doubles a small first chunk that may not take another record; what was read from it before is gone.
  mutating func makeRoom() {
    guard count == 1, capacity < Self.chunkBytes, capacity &- used < Self.recordBytesMax, let chunks else { return }
    let larger = allocate(capacity &* 2)
    stock_copy(larger, chunks.pointee, used)
    stock_release(chunks.pointee)
    bytes &-= capacity
    capacity &*= 2
    chunks.pointee = larger
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
      stock_release(chunks[index])
      index &+= 1
    }
    // All but a list's only chunk have full size.
    bytes &-= (dropped &- 1) &* Self.chunkBytes &+ (dropped == count ? capacity : Self.chunkBytes)
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
    Int(truncatingIfNeeded: chunks.unsafelyUnwrapped[chunk].load(fromByteOffset: 8, as: Int64.self))
  }

  private mutating func tail(withRoomFor size: Int, label: Int64) -> UnsafeMutableRawPointer {
    if let chunks, count > 0 {
      let last = chunks + (count &- 1)
      if used &+ size &+ wordSlack <= capacity { return last.pointee }
      last.pointee.storeBytes(of: Int64(truncatingIfNeeded: used), toByteOffset: 8, as: Int64.self)
    }
    capacity = count == 0 ? Self.firstCapacity : Self.chunkBytes
    let chunk = allocate(capacity)
    chunk.storeBytes(of: label, as: Int64.self)
    used = Self.headerBytes
    list(chunk)
    return chunk
  }

  private mutating func allocate(_ size: Int) -> UnsafeMutableRawPointer {
    bytes &+= size
    return stock_allocate(size)
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
