import CStockABI

/// A hash table of 8-byte slots that grows in steps: extendible hashing over open-addressed segments.
///
/// A slot is 30 bits of the entry's hash above the 34 bits of its address; 0 is empty. The top bits choose the segment,
/// the low ten of the 30 the slot where the search starts, and an entry lies at most `reach` slots behind it. Where no
/// slot in reach is free, the segment is split in two by the next bit, from the slots alone: an insert moves at most the
/// slots of one segment and reads no entry. Slots are never removed.
struct SlotTable: ~Copyable {
  typealias Slot = UnsafeMutablePointer<UInt64>

  /// What a search came to: the address of the entry and its slot, or the slot that takes it.
  struct Place {
    /// 0 where no entry matched.
    fileprivate(set) var address: UInt64 = 0
    /// Nil where no entry matched and no slot in reach is free.
    fileprivate var slot: Slot?

    init(address: UInt64 = 0) { self.address = address }

    fileprivate init(address: UInt64 = 0, slot: Slot?) {
      self.address = address
      self.slot = slot
    }
  }

  private static let addressBits: UInt64 = 34
  private static let homeBits: UInt64 = 10
  private static let depthMax = 20
  /// Of a keyed hash segments fill evenly, so that the directory has few entries more than segments. Who knows the key, as
  /// the writer of a payload does, can choose hashes that agree in their top bits, and make it double with each segment.
  private static let directoryEntriesPerSegmentMax = 16
  private static let reach = 64
  /// Slots of a full-grown segment, which with its header fills 8 KB.
  static let segmentSlots = 1023
  private static let firstSlots = 15

  private var directory: UnsafeMutablePointer<Segment>?
  private var depth = 0
  /// Slots of each segment; only a table of one segment has fewer than `segmentSlots`.
  private var capacity = SlotTable.firstSlots
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
      // A segment stands in the directory more than once where its depth is short of the table's.
      index &+= 1 &<< (depth &- segment.depth)
      segment.release()
    }
    stock_release(directory)
  }

  /// The number of separately allocated pieces.
  var pieces: Int { segments &+ 1 }

  /// Fetches the slot where the search for a hash will start into the cache.
  @inline(__always)
  func prefetch(_ hash: UInt64) {
    guard let directory else { return }
    let slots = directory[Self.index(hash, depth)].slots
    stock_prefetch(slots + Self.home(hash &>> Self.addressBits, capacity))
  }

  /// Looks for the entry under `hash` for whose address `isMatch` holds.
  @inline(__always)
  func find(_ hash: UInt64, _ isMatch: (UInt64) -> Bool) -> Place {
    guard let directory else { return Place() }
    let slots = directory[Self.index(hash, depth)].slots
    let wanted = hash &>> Self.addressBits
    var position = Self.home(wanted, capacity)
    var distance = 0
    while distance < Self.reach {
      let slot = slots[position]
      if slot == 0 { return Place(slot: slots + position) }
      if slot &>> Self.addressBits == wanted {
        let address = slot & ((1 &<< Self.addressBits) &- 1)
        if isMatch(address) { return Place(address: address, slot: slots + position) }
      }
      position = position &+ 1 == capacity ? 0 : position &+ 1
      distance &+= 1
    }
    return Place()
  }

  /// Makes sure that a place that no entry matched has its slot. False where the segment can't be split further, which
  /// takes many hashes with equal bits: so the memory of any table is bounded by its segments.
  mutating func reserve(_ hash: UInt64, _ place: inout Place) -> Bool {
    while place.slot == nil {
      guard grow(hash) else { return false }
      place = find(hash) { _ in false }
    }
    return true
  }

  /// Adds an entry at a place that has its slot, before any other insert.
  mutating func insert(_ hash: UInt64, _ address: UInt64, at place: Place) {
    place.slot?.pointee = (hash &>> Self.addressBits) &<< Self.addressBits | address
  }

  /// Gives the entry that was found at a place another address.
  mutating func replace(_ hash: UInt64, _ address: UInt64, at place: Place) {
    if place.address != 0 { insert(hash, address, at: place) }
  }

  private static func index(_ hash: UInt64, _ depth: Int) -> Int {
    // A shift by 64 has to give 0: hence in two steps.
    Int(truncatingIfNeeded: (hash &>> 1) &>> UInt64(truncatingIfNeeded: 63 &- depth))
  }

  private static func home(_ hashBits: UInt64, _ capacity: Int) -> Int {
    let low = Int(truncatingIfNeeded: hashBits & ((1 &<< homeBits) &- 1))
    return (low &* capacity) &>> Int(truncatingIfNeeded: homeBits)
  }

  private mutating func grow(_ hash: UInt64) -> Bool {
    guard let directory else {
      let memory = allocate(MemoryLayout<Segment>.stride).bindMemory(to: Segment.self, capacity: 1)
      memory.initialize(to: makeSegment(depth: 0))
      self.directory = memory
      return true
    }
    let segment = directory[Self.index(hash, depth)]
    return capacity == Self.segmentSlots ? split(segment, hash) : enlarge(segment)
  }

  /// Doubles the only segment of a small table.
  private mutating func enlarge(_ segment: Segment) -> Bool {
    let smaller = capacity
    capacity = smaller &* 2 &+ 1
    let larger = makeSegment(depth: 0)
    guard move(from: segment, of: smaller, to: { _ in larger }) else {
      discard(larger, of: capacity)
      capacity = smaller
      return false
    }
    directory?.pointee = larger
    discard(segment, of: smaller)
    return true
  }

  private mutating func split(_ segment: Segment, _ hash: UInt64) -> Bool {
    let old = segment.depth
    guard old < Self.depthMax, 1 &<< old <= Self.directoryEntriesPerSegmentMax &* segments else { return false }
    let low = makeSegment(depth: old &+ 1)
    let high = makeSegment(depth: old &+ 1)
    let bit: UInt64 = 1 &<< UInt64(truncatingIfNeeded: 63 &- old)
    guard move(from: segment, of: capacity, to: { $0 & bit == 0 ? low : high }) else {
      discard(low, of: capacity)
      discard(high, of: capacity)
      return false
    }
    if old == depth { doubleDirectory() }
    guard let directory else { return false }
    let half = 1 &<< (depth &- old &- 1)
    var index = Self.index(hash, depth) & ~(half &* 2 &- 1)
    let middle = index &+ half
    while index < middle &+ half {
      directory[index] = index < middle ? low : high
      index &+= 1
    }
    discard(segment, of: capacity)
    return true
  }

  private mutating func doubleDirectory() {
    guard let directory else { return }
    let count = 1 &<< depth
    let stride = MemoryLayout<Segment>.stride
    let larger = allocate(2 &* count &* stride).bindMemory(to: Segment.self, capacity: 2 &* count)
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

  /// Copies all slots of a segment; false where one finds none in reach.
  @inline(__always)
  private mutating func move(from segment: Segment, of count: Int, to target: (UInt64) -> Segment) -> Bool {
    var position = 0
    while position < count {
      let slot = segment.slots[position]
      if slot != 0 {
        guard let free = freeSlot(for: slot, in: target(slot)) else { return false }
        free.pointee = slot
        moved &+= 1
      }
      position &+= 1
    }
    return true
  }

  private func freeSlot(for slot: UInt64, in segment: Segment) -> Slot? {
    var position = Self.home(slot &>> Self.addressBits, capacity)
    var distance = 0
    while distance < Self.reach {
      if segment.slots[position] == 0 { return segment.slots + position }
      position = position &+ 1 == capacity ? 0 : position &+ 1
      distance &+= 1
    }
    return nil
  }

  private mutating func makeSegment(depth: Int) -> Segment {
    segments &+= 1
    return Segment(memory: allocate((capacity &+ 1) &* 8), slots: capacity, depth: depth)
  }

  private mutating func discard(_ segment: Segment, of count: Int) {
    segments &-= 1
    bytes &-= (count &+ 1) &* 8
    segment.release()
  }

  private mutating func allocate(_ size: Int) -> UnsafeMutableRawPointer {
    bytes &+= size
    return stock_allocate(size)
  }
}

/// Slots, behind a word that tells how many of the hash's bits their entries share.
private struct Segment {
  let slots: SlotTable.Slot

  init(memory: UnsafeMutableRawPointer, slots count: Int, depth: Int) {
    let words = memory.bindMemory(to: UInt64.self, capacity: count &+ 1)
    words.initialize(to: UInt64(truncatingIfNeeded: depth))
    slots = words + 1
    stock_clear(slots, count &* 8)
  }

  var depth: Int { Int(truncatingIfNeeded: slots[-1]) }

  func release() { stock_release(slots - 1) }
}
