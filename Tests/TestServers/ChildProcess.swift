import Glibc
import Synchronization

/// How a process ended.
public enum ExitStatus: Equatable, Sendable {
  case exited(Int32)
  case signalled(Int32)
}

enum ChildInput {
  case path(String)
  case descriptor(Int32)
}

/// Starts a process in a group of its own, with these files for its standard ones.
///
/// - Parameter environment: the variables set on top of this process' own.
/// - Returns: its process id, which is its group's too.
func spawnProcess(
  _ words: [String],
  directory: String,
  input: ChildInput,
  output: String,
  errors: String,
  environment: [String: String] = [:]
) throws -> pid_t {
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  switch input {
  case .path(let path): posix_spawn_file_actions_addopen(&actions, 0, path, O_RDONLY, 0)
  case .descriptor(let descriptor): posix_spawn_file_actions_adddup2(&actions, descriptor, 0)
  }
  posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
  posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0o600)

  var attributes = posix_spawnattr_t()
  posix_spawnattr_init(&attributes)
  defer { posix_spawnattr_destroy(&attributes) }
  var signals = sigset_t()
  sigemptyset(&signals)
  posix_spawnattr_setsigmask(&attributes, &signals)
  sigfillset(&signals)
  posix_spawnattr_setsigdefault(&attributes, &signals)
  posix_spawnattr_setpgroup(&attributes, 0)
  posix_spawnattr_setflags(
    &attributes,
    Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)
  )

  // `env -C` changes the directory and becomes the program, under the same process id.
  let launcher = ["/usr/bin/env", "-C", directory]
  var arguments: [UnsafeMutablePointer<CChar>?] = (launcher + words).map { strdup($0) } + [nil]
  var variables: [UnsafeMutablePointer<CChar>?] = environmentLines(environment).map { strdup($0) } + [nil]
  defer { for pointer in arguments + variables { free(pointer) } }
  var pid: pid_t = 0
  let code = posix_spawn(&pid, launcher[0], &actions, &attributes, &arguments, &variables)
  guard code == 0 else { throw TestServerError.system("start \(words[0])", code) }
  return pid
}

private func environmentLines(_ added: [String: String]) -> [String] {
  var lines: [String] = []
  var next = environ
  while let line = next.pointee {
    let text = String(cString: line)
    if added[String(text.prefix { $0 != "=" })] == nil { lines.append(text) }
    next += 1
  }
  return lines + added.map { "\($0.key)=\($0.value)" }
}

/// A running child of the test process. Its whole process group ends with this object, or with the test process.
///
/// Its end is noted, but it is collected only by ``end()``: until then its number can't become another
/// process', so no signal meets a stranger.
final class ChildProcess: Sendable {
  let pid: pid_t
  private let isCollected = Mutex(false)

  init(
    _ words: [String],
    directory: String,
    input: ChildInput,
    output: String,
    errors: String,
    environment: [String: String] = [:]
  ) throws {
    _ = Reaper.shared
    pid = try spawnProcess(
      words,
      directory: directory,
      input: input,
      output: output,
      errors: errors,
      environment: environment
    )
    Reaper.shared.tell("group \(pid)")
  }

  deinit { end() }

  /// Kills what is left of the group and collects the process; nothing else may be asked of it afterwards.
  func end() {
    isCollected.withLock { isCollected in
      if isCollected { return }
      isCollected = true
      kill(-pid, SIGKILL)
      var status: Int32 = 0
      while waitpid(pid, &status, 0) == -1, errno == EINTR {}
      Reaper.shared.tell("ended \(pid)")
    }
  }

  /// The exit status, or null while it runs.
  func poll() -> ExitStatus? {
    var info = siginfo_t()
    guard waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0, info._sifields._sigchld.si_pid == pid
    else { return nil }
    let code = info._sifields._sigchld.si_status
    return info.si_code == CLD_EXITED ? .exited(code) : .signalled(code)
  }

  /// Sends a signal to the process alone. Nothing happens once it has ended.
  func signal(_ number: Int32) { kill(pid, number) }

  /// - Throws: ``TestServerError/timeout(_:)`` if it still runs after `timeout`.
  func wait(timeout: Duration) throws -> ExitStatus {
    try waitUntil("the end of process \(pid)", timeout: timeout) { poll() }
  }
}
