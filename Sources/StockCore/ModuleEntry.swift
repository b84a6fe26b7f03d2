// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The names are those of the C header.

import CStockABI

// The functions that stock_abi.h declares: what the C half of the module calls. Each only unwraps its arguments.

@inline(__always)
private func bucket(_ pointer: OpaquePointer) -> UnsafeMutablePointer<Bucket> {
  UnsafeMutablePointer<Bucket>(pointer)
}

private func place(_ bucket: consuming Bucket) -> UnsafeMutablePointer<Bucket> {
  let memory = stock_allocate(MemoryLayout<Bucket>.size).bindMemory(to: Bucket.self, capacity: 1)
  memory.initialize(to: bucket)
  return memory
}

@c @implementation
public func stock_create(
  _ settings: UnsafePointer<stock_settings>,
  _ quantity: Int64,
  _ epoch: Int64,
  _ hash_key: UnsafeRawPointer,
  _ now: Int64
) -> OpaquePointer {
  let made = Bucket(
    settings: settings.pointee,
    epoch: epoch,
    hashing: KeyedHash(key: hash_key),
    quantity: quantity,
    now: now
  )
  return OpaquePointer(place(made))
}

@c @implementation
public func stock_free(_ pointer: OpaquePointer) {
  let memory = bucket(pointer)
  memory.deinitialize(count: 1)
  stock_release(memory)
}

@c @implementation
public func stock_schedule(
  _ pointer: OpaquePointer,
  _ limit: Int64,
  _ opens: Int64,
  _ closes: Int64,
  _ now: Int64
) -> stock_outcome {
  bucket(pointer).pointee.schedule(limit: limit, opens: opens, closes: closes, now: now)
}

@c @implementation
public func stock_deduct(
  _ pointer: OpaquePointer,
  _ user: stock_bytes,
  _ token: stock_bytes,
  _ quantity: Int64,
  _ now: Int64
) -> stock_outcome {
  bucket(pointer).pointee.deduct(user: user, token: token, quantity: quantity, now: now)
}

@c @implementation
public func stock_cancel(
  _ pointer: OpaquePointer,
  _ token: stock_bytes,
  _ fence: Bool,
  _ off_sale: Bool,
  _ now: Int64
) -> stock_outcome {
  bucket(pointer).pointee.cancel(token: token, fence: fence, offSale: off_sale, now: now)
}

@c @implementation
public func stock_fence(_ pointer: OpaquePointer, _ token: stock_bytes, _ now: Int64) -> stock_outcome {
  bucket(pointer).pointee.fence(token: token, now: now)
}

@c @implementation
public func stock_add(
  _ pointer: OpaquePointer,
  _ token: stock_bytes,
  _ quantity: Int64,
  _ now: Int64
) -> stock_outcome {
  bucket(pointer).pointee.add(token: token, quantity: quantity, now: now)
}

@c @implementation
public func stock_trim(
  _ pointer: OpaquePointer,
  _ sequence: Int64,
  _ epoch: Int64,
  _ dropped: UnsafeMutablePointer<Int64>
) -> stock_fault {
  bucket(pointer).pointee.trim(to: sequence, epoch: epoch, dropped: &dropped.pointee)
}

@c @implementation
public func stock_get(
  _ pointer: OpaquePointer,
  _ token: stock_bytes,
  _ purchase: UnsafeMutablePointer<stock_purchase>
) -> Bool {
  guard let known = bucket(pointer).pointee.purchase(token: token) else { return false }
  purchase.pointee = known
  return true
}

@c @implementation
public func stock_describe(_ pointer: OpaquePointer) -> stock_figures {
  bucket(pointer).pointee.figures
}

@c @implementation
public func stock_log_seek(
  _ pointer: OpaquePointer,
  _ after: Int64,
  _ epoch: Int64,
  _ cursor: UnsafeMutablePointer<stock_cursor>
) -> stock_fault {
  bucket(pointer).pointee.seek(after: after, epoch: epoch, &cursor.pointee)
}

@c @implementation
public func stock_log_next(
  _ pointer: OpaquePointer,
  _ cursor: UnsafeMutablePointer<stock_cursor>,
  _ event: UnsafeMutablePointer<stock_event>
) -> Bool {
  guard let next = bucket(pointer).pointee.next(&cursor.pointee) else { return false }
  event.pointee = next
  return true
}

@c @implementation
public func stock_encode_kept(
  _ pointer: OpaquePointer,
  _ cursor: UnsafeMutablePointer<stock_cursor>,
  _ buffer: UnsafeMutableRawPointer
) -> Int {
  bucket(pointer).pointee.encodeKept(from: &cursor.pointee, to: buffer)
}

@c @implementation
public func stock_is_whole(_ pointer: OpaquePointer) -> Bool {
  bucket(pointer).pointee.awaitedTokens == 0
}

@c @implementation
public func stock_encode_change(_ pointer: OpaquePointer, _ buffer: UnsafeMutableRawPointer) -> Int {
  bucket(pointer).pointee.encodeChange(to: buffer)
}

@c @implementation
public func stock_encode_event(_ event: UnsafePointer<stock_event>, _ buffer: UnsafeMutableRawPointer) -> Int {
  var writer = ByteWriter(buffer)
  writer.event(event.pointee)
  return writer.count
}

@c @implementation
public func stock_encode(
  _ pointer: OpaquePointer,
  _ cursor: UnsafeMutablePointer<stock_cursor>,
  _ buffer: UnsafeMutableRawPointer,
  _ capacity: Int
) -> Int {
  bucket(pointer).pointee.encode(from: &cursor.pointee, to: buffer, capacity: capacity)
}

@c @implementation
public func stock_apply(
  _ pointer: UnsafeMutablePointer<OpaquePointer?>,
  _ payload: stock_bytes
) -> stock_fault {
  if let known = pointer.pointee { return bucket(known).pointee.applyPayload(payload) }
  var made: Bucket?
  let fault = Bucket.make(payload, &made)
  if let made { pointer.pointee = OpaquePointer(place(made)) }
  return fault
}
