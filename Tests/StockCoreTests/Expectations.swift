import StockCore
import Testing

/// Plays a command and compares its status and two numbers, which are `remaining` (of a withdrawal the units moved) and the
/// sequence, with what is expected.
func expect(
  _ bucket: inout Bucket,
  _ play: Play,
  _ status: Status,
  _ remaining: Int64,
  _ sequence: Int64,
  now: Int64 = 1000,
  at location: SourceLocation = #_sourceLocation
) {
  let reply = bucket.play(play, now: now).reply
  let expected = ReferenceModel.Reply(status: status, remaining: remaining, sequence: sequence)
  #expect(reply == expected, "\(play)", sourceLocation: location)
}

/// Plays a command that must fail and change nothing.
func expect(
  _ bucket: inout Bucket,
  _ play: Play,
  _ fault: Fault,
  now: Int64 = 1000,
  at location: SourceLocation = #_sourceLocation
) {
  let outcome = bucket.play(play, now: now)
  #expect(outcome.fault == fault && !outcome.changed, "\(play)", sourceLocation: location)
}

/// Compares some totals and whether they balance.
func expectBooks(
  _ bucket: borrowing Bucket,
  available: Int64,
  held: Int64 = 0,
  sold: Int64 = 0,
  cancelled: Int64 = 0,
  added: Int64 = 0,
  transferredIn: Int64 = 0,
  transferredOut: Int64 = 0,
  at location: SourceLocation = #_sourceLocation
) {
  let figures = bucket.figures
  let found = [
    figures.available, figures.held, figures.sold, figures.cancelled, figures.added, figures.transferred_in,
    figures.transferred_out,
  ]
  let expected = [available, held, sold, cancelled, added, transferredIn, transferredOut]
  #expect(found == expected, sourceLocation: location)
  expectBalance(bucket, at: location)
}

/// Compares the two sides of the books.
func expectBalance(_ bucket: borrowing Bucket, at location: SourceLocation = #_sourceLocation) {
  let figures = bucket.figures
  let incoming = figures.created + figures.added + figures.transferred_in
  let outgoing = figures.available + figures.held + figures.sold + figures.transferred_out
  #expect(incoming == outgoing, sourceLocation: location)
  let least = min(
    figures.available,
    figures.held,
    figures.sold,
    figures.cancelled,
    figures.transferred_in,
    figures.transferred_out
  )
  #expect(least >= 0 && figures.log_last >= 1, sourceLocation: location)
}
