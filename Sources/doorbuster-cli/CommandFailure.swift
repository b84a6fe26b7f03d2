/// A failure that its user can read and mend: one line, without a stack trace.
struct CommandFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
