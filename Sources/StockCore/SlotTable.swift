import CStockABI

/// A hash table of 8-byte slots that grows in steps: extendible hashing over open-addressed segments.
///
/// A slot is 30 bits of the entry's hash above the 34 bits of its address; 0 is empty. The top bits choose the segment,
/// the low ten of the 30 the slot where the search starts. A segment that fills up is split in two by the next bit, from
/// the slots alone: an insert moves at most the slots of one segment and reads no entry. Slots are never removed.
struct SlotTable: ~Copyable {
  private static let hashBits: UInt64 = 30
  private static let addressBits: UInt64 = 34
  private static let homeBits: UInt64 = 10
  private static let depthMax = 20
  /// Slots of a full-grown segment, which with its header fills 8 KB.
  static let segmentSlots = 1023
  private static let firstSlots = 15

  private var directory: UnsafeMutablePointer<Segment>?
  private var depth = 0
  private var segments = 0
  /// Bytes allocated.
  private(set) var bytes = 0
  /// Slots moved by all inserts so far; tests hold the step of one insert against its bound.
  private(set) var moved = 0

  deinit {
    guard let directory else { return }
    var index = 0
    while index < 1 &<< depth {
      let segment = directory[index]
      // A segment stands in the directory as often as its depth is short of the table's.
      index &+= 1 &<< (depth &- segment.depth)
      stock_release(segment.base)
    }
    stock_release(directory)
  }

  /// The number of separately allocated pieces.
  var pieces: Int { segments &+ 1 }

  /// The address under `hash` for which `isMatch` holds.
  @inline(__always)
  func find(_ hash: UInt64, _ isMatch: (UInt64) -> Bool) -> UInt64? {
    guard let directory else { return nil }
    let segment = directory[Self.index(hash, depth)]
    let wanted = hash &>> Self.addressBits
    let capacity = segment.capacity
    var position = Self.home(wanted, capacity)
    while true {
      let slot = segment[position]
      if slot == 0 { return nil }
      if slot &>> Self.addressBits == wanted {
        let address = slot & ((1 &<< Self.addressBits) &- 1)
        if isMatch(address) { return address }
      }
      position &+= 1
      if position == capacity { position = 0 }
    }
  }

  /// Makes room for one more entry under `hash`; false where its segment is full and can't be split further, which
  /// takes hundreds of hashes with equal top bits.
  mutating func reserve(_ hash: UInt64) -> Bool {
    guard let directory else {
      start()
      return true
    }
    let index = Self.index(hash, depth)
    let segment = directory[index]
    // At most four fifths full, so a search is short and always meets an empty slot.
    if (segment.count &+ 1) &* 5 <= segment.capacity &* 4 { return true }
    if segment.capacity < Self.segmentSlots {
      enlarge(segment, hash)
      return true
    }
    guard split(segment, hash) else { return false }
    return reserve(hash)
  }

  /// Adds an entry for which `reserve` has made room.
  mutating func insert(_ hash: UInt64, _ address: UInt64) {
    guard let directory else { return }
    let slot = (hash &>> Self.addressBits) &<< Self.addressBits | address
    directory[Self.index(hash, depth)].insert(slot)
  }

  private static func index(_ hash: UInt64, _ depth: Int) -> Int {
    // A shift by 64 has to give 0: hence in two steps.
    Int(truncatingIfNeeded: (hash &>> 1) &>> UInt64(truncatingIfNeeded: 63 &- depth))
  }

  fileprivate static func home(_ hashBits: UInt64, _ capacity: Int) -> Int {
    let low = Int(truncatingIfNeeded: hashBits & ((1 &<< homeBits) &- 1))
    return (low &* capacity) &>> Int(truncatingIfNeeded: homeBits)
  }

  private mutating func start() {
    let memory = allocate(MemoryLayout<Segment>.stride).assumingMemoryBound(to: Segment.self)
    memory.initialize(to: makeSegment(slots: Self.firstSlots, depth: 0))
    directory = memory
  }

  /// Doubles the only segment of a small table.
  private mutating func enlarge(_ segment: Segment, _ hash: UInt64) {
    guard let directory else { return }
    let larger = makeSegment(slots: segment.capacity &* 2 &+ 1, depth: segment.depth)
    move(from: segment) { _ in larger }
    directory[Self.index(hash, depth)] = larger
    discard(segment)
  }

  private mutating func split(_ segment: Segment, _ hash: UInt64) -> Bool {
    let old = segment.depth
    guard old < Self.depthMax else { return false }
    if old == depth { doubleDirectory() }
    guard let directory else { return false }
    let low = makeSegment(slots: Self.segmentSlots, depth: old &+ 1)
    let high = makeSegment(slots: Self.segmentSlots, depth: old &+ 1)
    let bit: UInt64 = 1 &<< UInt64(truncatingIfNeeded: 63 &- old)
    move(from: segment) { $0 & bit == 0 ? low : high }
    let half = 1 &<< (depth &- old &- 1)
    var index = Self.index(hash, depth) & ~(half &* 2 &- 1)
    let middle = index &+ half
    while index < middle &+ half {
      directory[index] = index < middle ? low : high
      index &+= 1
    }
    discard(segment)
    return true
  }

  private mutating func doubleDirectory() {
    guard let directory else { return }
    let count = 1 &<< depth
    let stride = MemoryLayout<Segment>.stride
    let larger = allocate(2 &* count &* stride).assumingMemoryBound(to: Segment.self)
    var index = 0
    while index < count {
      (larger + (2 &* index)).initialize(to: directory[index])
      (larger + (2 &* index &+ 1)).initialize(to: directory[index])
      index &+= 1
    }
    stock_release(directory)
    bytes &-= count &* stride
    self.directory = larger
    depth &+= 1
  }

  @inline(__always)
  private mutating func move(from segment: Segment, to target: (UInt64) -> Segment) {
    var position = 0
    while position < segment.capacity {
      let slot = segment[position]
      if slot != 0 { target(slot).insert(slot) }
      position &+= 1
    }
    moved &+= segment.count
  }

  private mutating func makeSegment(slots: Int, depth: Int) -> Segment {
    segments &+= 1
    return Segment(memory: allocate((slots &+ 1) &* 8), slots: slots, depth: depth)
  }

  private mutating func discard(_ segment: Segment) {
    segments &-= 1
    bytes &-= (segment.capacity &+ 1) &* 8
    stock_release(segment.base)
  }

  private mutating func allocate(_ size: Int) -> UnsafeMutableRawPointer {
    bytes &+= size
    return stock_allocate(size)
  }
}

/// A header word (count, capacity, depth) and the slots behind it.
private struct Segment {
  let base: UnsafeMutablePointer<UInt64>

  init(memory: UnsafeMutableRawPointer, slots: Int, depth: Int) {
    base = memory.bindMemory(to: UInt64.self, capacity: slots &+ 1)
    base.initialize(repeating: 0, count: slots &+ 1)
    base.pointee = UInt64(truncatingIfNeeded: slots &<< 16) | UInt64(truncatingIfNeeded: depth &<< 32)
  }

  var count: Int { Int(truncatingIfNeeded: base.pointee & 0xffff) }
  var capacity: Int { Int(truncatingIfNeeded: base.pointee &>> 16 & 0xffff) }
  var depth: Int { Int(truncatingIfNeeded: base.pointee &>> 32) }

  subscript(position: Int) -> UInt64 {
    @inline(__always) get { base[position &+ 1] }
  }

  func insert(_ slot: UInt64) {
    let capacity = self.capacity
    var position = SlotTable.home(slot &>> 34, capacity)
    while base[position &+ 1] != 0 {
      position &+= 1
      if position == capacity { position = 0 }
    }
    base[position &+ 1] = slot
    base.pointee &+= 1
  }
}
