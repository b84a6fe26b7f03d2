import ArgumentParser
import Doorbuster
import Stock

struct ConfirmCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "confirm",
    abstract: "Make a held purchase a sold one.",
    discussion: """
      The order follows by the bucket's log; on the path database it is sold at once. Status 2: the hold is over or \
      was cancelled, or no purchase has this token.
      """
  )

  private struct Answer: Encodable { var outcome: String }

  @Argument(help: "The product.", transform: Parse.sku) var sku: SKU
  @OptionGroup var choice: TokenChoice
  @OptionGroup var output: OutputOptions
  @OptionGroup var servers: ServerOptions

  func run() async throws {
    let token = try choice.value
    let outcome = try await Deployment.with(servers.choice, for: sku) { deployment in
      try await deployment.doorbuster.confirm(sku, token: token)
    }
    let (word, text, status): (String, String, Int32) =
      switch outcome {
      case .confirmed: ("confirmed", "confirmed; it is sold", 0)
      case .alreadyConfirmed: ("alreadyConfirmed", "sold before", 0)
      case .cancelled: ("cancelled", "the hold is over, or was cancelled; a new purchase needs a new token", 2)
      case .unknownToken: ("unknownToken", "no purchase of \(sku) has the token \(token)", 2)
      }
    if status == 0 { StandardOutput.note(done: "the purchase itself is sold") }
    if output.json {
      try Output.json(Answer(outcome: word))
    } else {
      Output.line(text)
    }
    if status != 0 { throw ExitCode(status) }
  }
}
