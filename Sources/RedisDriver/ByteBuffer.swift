/// A growing queue of bytes in one piece of memory: written at its end, taken from its front.
struct ByteBuffer: ~Copyable {
  private var base: UnsafeMutablePointer<UInt8>
  private var capacity: Int
  private var head = 0
  private(set) var tail = 0

  /// What an emptied buffer keeps; more is given back, so that one huge value does not stay paid for.
  private static let capacityKept = 1 << 20

  init(capacity: Int = 16 * 1024) {
    self.capacity = max(capacity, 64)
    base = .allocate(capacity: self.capacity)
  }

  deinit { base.deallocate() }

  var count: Int { tail - head }
  var isEmpty: Bool { head == tail }

  /// Valid until the next change.
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base + head, count: count) }

  /// Memory for `size` more bytes at the end, to be written before ``advance(_:)`` counts them.
  @inline(__always)
  mutating func reserve(_ size: Int) -> UnsafeMutablePointer<UInt8> {
    if capacity - tail < size { makeRoom(size) }
    return base + tail
  }

  @inline(__always)
  mutating func advance(_ size: Int) { tail += size }

  @inline(__always)
  mutating func append(_ source: UnsafeRawBufferPointer) {
    guard let start = source.baseAddress, source.count > 0 else { return }
    UnsafeMutableRawPointer(reserve(source.count)).copyMemory(from: start, byteCount: source.count)
    tail += source.count
  }

  mutating func dropFirst(_ size: Int) {
    head += size
    guard head == tail else { return }
    head = 0
    tail = 0
    if capacity > Self.capacityKept { reallocate(capacity: Self.capacityKept) }
  }

  /// Takes back what was written last.
  mutating func dropLast(_ size: Int) {
    tail -= size
    dropFirst(0)
  }

  mutating func removeAll() { dropFirst(count) }

  /// A position at or after the front, counted from the front, for changing bytes in place.
  func pointer(at offset: Int) -> UnsafeMutablePointer<UInt8> { base + head + offset }

  @inline(never)
  private mutating func makeRoom(_ size: Int) {
    // Moving to the front is paid for by the bytes that were taken since the last move.
    if head >= count, capacity - count >= size {
      base.update(from: base + head, count: count)
      tail -= head
      head = 0
    } else {
      reallocate(capacity: max(capacity * 2, count + size))
    }
  }

  private mutating func reallocate(capacity newCapacity: Int) {
    let fresh = UnsafeMutablePointer<UInt8>.allocate(capacity: newCapacity)
    fresh.update(from: base + head, count: count)
    base.deallocate()
    base = fresh
    capacity = newCapacity
    tail -= head
    head = 0
  }
}
