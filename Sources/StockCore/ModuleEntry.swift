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
  _ frozen: Bool,
  _ epoch: Int64,
  _ hash_key: UnsafeRawPointer,
  _ now: Int64
) -> OpaquePointer {
  let made = Bucket(
    settings: settings.pointee,
    isFrozen: frozen,
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
public func stock_look_ahead(_ pointer: OpaquePointer, _ token: stock_bytes) -> UInt64 {
  bucket(pointer).pointee.lookAhead(token)
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
  _ hash: UInt64,
  _ quantity: Int64,
  _ hold: Int64,
  _ now: Int64
) -> stock_outcome {
  bucket(pointer).pointee.deduct(user: user, token: token, hash: hash, quantity: quantity, hold: hold, now: now)
}

@c @implementation
public func stock_confirm(_ pointer: OpaquePointer, _ token: stock_bytes, _ now: Int64) -> stock_outcome {
  bucket(pointer).pointee.confirm(token: token, now: now)
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
public func stock_withdraw(
  _ pointer: OpaquePointer,
  _ transfer: stock_bytes,
  _ quantity: Int64,
  _ to: UInt16,
  _ now: Int64
) -> stock_outcome {
  bucket(pointer).pointee.withdraw(transfer, quantity: quantity, to: to, now: now)
}

@c @implementation
public func stock_deposit(
  _ pointer: OpaquePointer,
  _ transfer: stock_bytes,
  _ quantity: Int64,
  _ from: UInt16,
  _ now: Int64
) -> stock_outcome {
  bucket(pointer).pointee.deposit(transfer, quantity: quantity, from: from, now: now)
}

@c @implementation
public func stock_settle(_ pointer: OpaquePointer, _ transfer: stock_bytes) -> stock_outcome {
  bucket(pointer).pointee.settle(transfer)
}

@c @implementation
public func stock_freeze(_ pointer: OpaquePointer, _ now: Int64) -> stock_outcome {
  bucket(pointer).pointee.freeze(now: now)
}

@c @implementation
public func stock_thaw(_ pointer: OpaquePointer, _ epoch: Int64, _ now: Int64) -> stock_outcome {
  bucket(pointer).pointee.thaw(epoch: epoch, now: now)
}

@c @implementation
public func stock_record(
  _ pointer: OpaquePointer,
  _ user: stock_bytes,
  _ token: stock_bytes,
  _ quantity: Int64,
  _ as: stock_recording,
  _ now: Int64
) -> stock_outcome {
  bucket(pointer).pointee.record(user: user, token: token, quantity: quantity, as: `as`, now: now)
}

@c @implementation
public func stock_record_transfer(
  _ pointer: OpaquePointer,
  _ transfer: stock_bytes,
  _ direction: stock_direction,
  _ peer: UInt16,
  _ quantity: Int64,
  _ now: Int64
) -> stock_outcome {
  bucket(pointer).pointee.record(transfer: transfer, direction, peer: peer, quantity: quantity, now: now)
}

@c @implementation
public func stock_record_restock(
  _ pointer: OpaquePointer,
  _ token: stock_bytes,
  _ quantity: Int64,
  _ now: Int64
) -> stock_outcome {
  bucket(pointer).pointee.record(restock: token, quantity: quantity, now: now)
}

@c @implementation
public func stock_rebalance(
  _ buckets: UnsafePointer<OpaquePointer>,
  _ count: Int,
  _ weights: UnsafePointer<Int64>?,
  _ now: Int64,
  _ outcomes: UnsafeMutablePointer<stock_outcome>,
  _ culprit: UnsafeMutablePointer<Int>
) -> stock_fault {
  buckets.withMemoryRebound(to: UnsafeMutablePointer<Bucket>.self, capacity: count) {
    Bucket.rebalance($0, count: count, weights: weights, now: now, outcomes: outcomes, culprit: &culprit.pointee)
  }
}

@c @implementation
public func stock_next_expiry(_ pointer: OpaquePointer) -> Int64 {
  bucket(pointer).pointee.nextExpiry
}

@c @implementation
public func stock_expire(_ pointer: OpaquePointer, _ count: Int64, _ now: Int64) -> stock_outcome {
  bucket(pointer).pointee.expire(count: count, now: now)
}

@c @implementation
public func stock_freeze_anew(_ pointer: OpaquePointer, _ reason: stock_freeze_reason, _ seed: UInt64) {
  bucket(pointer).pointee.freezeAnew(reason, seed: seed)
}

@c @implementation
public func stock_encode_freeze(
  _ reason: stock_freeze_reason,
  _ seed: UInt64,
  _ buffer: UnsafeMutableRawPointer
) -> Int {
  Bucket.encodeFreeze(reason, seed: seed, to: buffer)
}

@c @implementation
public func stock_decode_freeze(
  _ payload: stock_bytes,
  _ reason: UnsafeMutablePointer<stock_freeze_reason>,
  _ seed: UnsafeMutablePointer<UInt64>
) -> Bool {
  guard let freeze = Bucket.decodeFreeze(payload) else { return false }
  reason.pointee = freeze.reason
  seed.pointee = freeze.seed
  return true
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
public func stock_transfers_seek(
  _ pointer: OpaquePointer,
  _ after: stock_bytes,
  _ all: Bool,
  _ cursor: UnsafeMutablePointer<stock_cursor>
) -> Bool {
  bucket(pointer).pointee.seekTransfers(after: after, all: all, &cursor.pointee)
}

@c @implementation
public func stock_transfers_next(
  _ pointer: OpaquePointer,
  _ cursor: UnsafeMutablePointer<stock_cursor>,
  _ transfer: UnsafeMutablePointer<stock_transfer>
) -> Bool {
  guard let next = bucket(pointer).pointee.nextTransfer(&cursor.pointee) else { return false }
  transfer.pointee = next
  return true
}

@c @implementation
public func stock_is_whole(_ pointer: OpaquePointer) -> Bool {
  bucket(pointer).pointee.isWhole
}

@c @implementation
public func stock_change_bytes(_ pointer: OpaquePointer) -> Int {
  bucket(pointer).pointee.changeBytes
}

@c @implementation
public func stock_encode_change(_ pointer: OpaquePointer, _ buffer: UnsafeMutableRawPointer) -> Int {
  // Lent once for each way: only the rare one needs a copy of the bucket.
  bucket(pointer).pointee.encodeDeduction(to: buffer) ?? bucket(pointer).pointee.encodeOneEvent(to: buffer)
    ?? bucket(pointer).pointee.encodeAnyChange(to: buffer)
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
public func stock_digest(_ pointer: OpaquePointer, _ sums: UnsafeMutablePointer<UInt64>) {
  (sums[0], sums[1]) = bucket(pointer).pointee.digest()
}

@c @implementation
public func stock_apply(
  _ pointer: UnsafeMutablePointer<OpaquePointer?>,
  _ payload: stock_bytes,
  _ turn: UnsafeMutablePointer<stock_turn>
) -> stock_fault {
  turn.pointee = .none
  if let known = pointer.pointee {
    let fault = bucket(known).pointee.applyPayload(payload)
    turn.pointee = bucket(known).pointee.turn
    return fault
  }
  var made: Bucket?
  let fault = Bucket.make(payload, &made)
  if let made { pointer.pointee = OpaquePointer(place(made)) }
  return fault
}
