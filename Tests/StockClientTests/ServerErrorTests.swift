import RedisDriver
import Stock
import Testing

@testable import StockClient

@Suite struct ServerErrorTests {
  @Test(
    "Each word of an error reply has its code",
    arguments: [
      ("NOBUCKET no bucket at this key", StockError.Code.noBucket),
      ("BUCKETEXISTS there is a bucket", .bucketExists),
      ("WRONGTYPE Operation against a key holding the wrong kind of value", .wrongType),
      ("TOKENMISMATCH the token was first sent with another user or quantity", .tokenMismatch),
      ("EPOCHMISMATCH the bucket is in another epoch", .epochMismatch),
      ("AHEAD the position is beyond the last event", .logAhead),
      ("TRIMMED events after the position are gone", .logTrimmed),
      ("OVERFLOW a total would pass 2^53", .overflow),
      ("EVICTABLE the server may evict this key", .evictable),
      ("FROZEN the bucket is frozen", .frozen),
      ("FROZENBYOPERATOR an operator has frozen the bucket", .frozenByOperator),
      ("TRANSFERMISMATCH the transfer is known with another peer", .transferMismatch),
      ("CROSSSLOT Keys in request don't hash to the same slot", .bucketsApart),
      ("READONLY You can't write against a read only replica.", .readOnly),
      ("OOM command not allowed when used memory > 'maxmemory'.", .outOfMemory),
      ("NOAUTH Authentication required.", .notAuthorized),
      ("WRONGPASS invalid username-password pair or user is disabled.", .notAuthorized),
      ("NOPERM this user has no permissions to run the 'stock.deduct' command", .notAuthorized),
      ("MISCONF Redis is configured to save RDB snapshots", .refused),
      ("LOADING Redis is loading the dataset in memory", .unavailable),
      ("BUSY Redis is busy running a script.", .unavailable),
      ("MASTERDOWN Link with MASTER is down", .unavailable),
      ("NOREPLICAS Not enough good replicas to write.", .unavailable),
      ("MOVED 866 10.0.0.7:6379", .refused),
      ("ERR unknown command 'STOCK.DEDUCT', with args beginning with: 'k' 'secret' ", .noModule),
      ("ERR unknown command `STOCK.DEDUCT`, with args beginning with: `k`, `secret`, ", .noModule),
      ("ERR unknown command 'stock.info', with args beginning with: 'k' ", .noModule),
      ("ERR unknown command 'OTHER', with args beginning with: 'k' ", .refused),
      ("ERR quantity must be 1 to 9007199254740992", .refused),
      ("NOBUCKETS is another word", .refused),
      ("nobucket in small letters", .refused),
      ("", .refused),
    ]
  )
  func codes(text: String, code: StockError.Code) {
    let error = Request(command: "STOCK.DEDUCT", key: Sample.bucket, effect: .changes)
      .error(RedisError(.serverError, text))
    #expect(error.code == code)
    #expect(!error.message.contains("secret"), "an unknown command's text repeats its arguments")
    #expect(error.message.hasPrefix("STOCK.DEDUCT doorbuster:{X/0}: \(text.prefix(20))"))
  }

  @Test("An error's message says what was asked, of which key, what was said, and what to do")
  func message() {
    let request = Request(command: "STOCK.DEDUCT", key: Sample.bucket, effect: .changes)
    #expect(
      request.error(RedisError(.serverError, "OOM command not allowed")).message
        == "STOCK.DEDUCT doorbuster:{X/0}: OOM command not allowed (give the server more memory (maxmemory))"
    )
    let unknown = "ERR unknown command 'STOCK.DEDUCT', with args beginning with: 'k' "
    #expect(
      request.error(RedisError(.serverError, unknown)).message
        == "STOCK.DEDUCT doorbuster:{X/0}: ERR unknown command 'STOCK.DEDUCT' (the server has not loaded the module; "
        + "load it with `redis-server --loadmodule /path/to/doorbuster.so` or `MODULE LOAD /path/to/doorbuster.so`)"
    )
  }

  @Test("A server's text is cut at 300 characters, and control characters do not reach a terminal")
  func hostileText() {
    #expect(ServerError.shown("ERR \u{1B}[2J\u{7F}") == "ERR ?[2J?")
    #expect(ServerError.shown("ERR " + String(repeating: "x", count: 10_000)).unicodeScalars.count == 300)
  }

  @Test("A refused greeting is a matter of authority, or the server's words")
  func greeting() {
    let request = Request(command: "connect to Redis", key: nil, effect: .reads)
    let noPassword = "ERR AUTH <password> called without any password configured for the default user."
    #expect(request.error(RedisError(.refused, noPassword)).code == .notAuthorized)
    #expect(request.error(RedisError(.refused, "WRONGPASS invalid username-password pair")).code == .notAuthorized)
    #expect(request.error(RedisError(.refused, "ERR DB index is out of range")).code == .refused)
    #expect(request.error(RedisError(.serverError, "ERR AUTH is a word")).code == .refused)
  }

  @Test(
    "Failures of the connection: what was not done, and what may have been",
    arguments: [
      (RedisError.Code.cannotConnect, 0, StockError.Code.unavailable, StockError.Code.unavailable),
      (.notSent, 0, .unavailable, .unavailable),
      (.notSent, 1, .replyLost, .unavailable),
      (.replyLost, 1, .replyLost, .unavailable),
      (.timedOut, 1, .replyLost, .unavailable),
      (.cancelled, 0, .cancelled, .cancelled),
      (.cancelled, 1, .replyLost, .cancelled),
      (.closed, 0, .closed, .closed),
      (.unexpectedReply, 0, .protocolViolation, .protocolViolation),
      (.protocolViolation, 0, .protocolViolation, .protocolViolation),
    ]
  )
  func failures(code: RedisError.Code, lost: Int, change: StockError.Code, read: StockError.Code) {
    let failure = RedisError(code, "what the driver said", lostSendings: lost)
    let changing = Request(command: "STOCK.ADD", key: Sample.bucket, effect: .changes)
    let reading = Request(command: "STOCK.INFO", key: Sample.bucket, effect: .reads)
    #expect(changing.error(failure).code == change)
    #expect(reading.error(failure).code == read)
  }
}
