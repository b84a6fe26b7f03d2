import RedisDriver

/// The steps that must happen whole or not at all, as Lua scripts.
///
/// All keys are arguments. A script writes nothing before the first write that a server may refuse (no disk, a
/// read-only replica), so that a refusal leaves everything as it was. What only moves messages on, towards their end,
/// runs without memory to spare too (`allow-oom`): a full server is emptied that way.
enum Scripts {
  /// Deletes a half message and puts it into the topic. 1, or 0 where there is no such half message.
  /// Keys: half, topic, and of one that was checked: checks. Arguments: id, key, body.
  ///
  /// `XDEL` goes first because it is the cheapest test and, giving memory back, is never refused for the lack of it,
  /// and what follows a script's first write isn't either. Should the topic's key hold another type, the half message
  /// comes back under a new id, and a check-back decides it.
  static let commit = RedisScript(
    """
    if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
    local sent = redis.pcall('XADD', KEYS[2], '*', 'k', ARGV[2], 'b', ARGV[3])
    if type(sent) == 'table' and sent.err then
      redis.call('XADD', KEYS[1], '*', 'k', ARGV[2], 'b', ARGV[3])
      return sent
    end
    if KEYS[3] then redis.call('ZREM', KEYS[3], ARGV[1]) end
    return 1
    """
  )

  /// Notes that a half message was checked without a decision (``CheckScore``). Keys: checks. Arguments: how often it
  /// was, the delay until the next check in ms, id.
  static let undecided = RedisScript(
    """
    #!lua flags=allow-oom
    local time = redis.call('TIME')
    local due = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
    return redis.call('ZADD', KEYS[1], string.format('%.0f', due * 1024 + ARGV[1]), ARGV[3])
    """
  )

  /// Moves a half message to the parked ones. 1, or 0 where it is gone.
  /// Keys: half, parked, checks. Arguments: id, reason, attempts.
  static let park = RedisScript(
    """
    #!lua flags=allow-oom
    local half = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
    if half then
      local fields = half[2]
      for _, part in ipairs({'r', ARGV[2], 'a', ARGV[3]}) do fields[#fields + 1] = part end
      redis.call('XADD', KEYS[2], '*', unpack(fields))
      redis.call('XDEL', KEYS[1], ARGV[1])
    end
    redis.call('ZREM', KEYS[3], ARGV[1])
    return half and 1 or 0
    """
  )

  /// Moves a parked or dead message back. 1, or 0 where there is no such message.
  /// Keys: from, to. Arguments: id.
  static let resume = RedisScript(
    """
    local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
    if not entry then return 0 end
    local fields = {}
    for i = 1, #entry[2], 2 do
      local name = entry[2][i]
      if name == 'k' or name == 'b' then
        fields[#fields + 1] = name
        fields[#fields + 1] = entry[2][i + 1]
      end
    end
    redis.call('XADD', KEYS[2], '*', unpack(fields))
    redis.call('XDEL', KEYS[1], ARGV[1])
    return 1
    """
  )

  /// Puts off messages that the group has not acknowledged: out of its pending list, into the set of postponed ones.
  /// How many it were. One that was acknowledged meanwhile stays so.
  /// Keys: topic, due, retry. Arguments: group, then of each message: id, delay in ms, what to keep of it.
  static let postpone = RedisScript(
    """
    #!lua flags=allow-oom
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local moved = 0
    for i = 2, #ARGV, 3 do
      local id = ARGV[i]
      if redis.call('ZSCORE', KEYS[2], id) or #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) > 0 then
        redis.call('HSET', KEYS[3], id, ARGV[i + 2])
        redis.call('ZADD', KEYS[2], now + ARGV[i + 1], id)
        redis.call('XACK', KEYS[1], ARGV[1], id)
        moved = moved + 1
      end
    end
    return moved
    """
  )

  /// Takes postponed messages that are due, and puts them off by the time that a worker may take for them.
  /// How many are postponed altogether, and what was taken: id, what was kept of it, id, …
  /// Keys: due, retry. Arguments: that time in ms, how many at most.
  static let takeDue = RedisScript(
    """
    #!lua flags=allow-oom
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local taken = {}
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
      local kept = redis.call('HGET', KEYS[2], id)
      if kept then
        redis.call('ZADD', KEYS[1], now + ARGV[1], id)
        taken[#taken + 1] = id
        taken[#taken + 1] = kept
      else
        redis.call('ZREM', KEYS[1], id)
      end
    end
    return {redis.call('ZCARD', KEYS[1]), taken}
    """
  )

  /// Puts off taken messages again, while they are still being handled. Keys: due. Arguments: ms, ids.
  static let renew = RedisScript(
    """
    #!lua flags=allow-oom
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', now + ARGV[1], ARGV[i]) end
    return #ARGV - 1
    """
  )

  /// Forgets postponed messages that are done. Keys: due, retry. Arguments: ids.
  static let acknowledgePostponed = RedisScript(
    """
    redis.call('HDEL', KEYS[2], unpack(ARGV))
    return redis.call('ZREM', KEYS[1], unpack(ARGV))
    """
  )

  /// Moves messages that the group has not acknowledged to the dead ones. How many it were.
  /// Keys: topic, due, retry, dead. Arguments: group, then of each message: id, key, body, reason, attempts.
  static let deadLetter = RedisScript(
    """
    #!lua flags=allow-oom
    local moved = 0
    for i = 2, #ARGV, 5 do
      local id = ARGV[i]
      if redis.call('ZSCORE', KEYS[2], id) or #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) > 0 then
        redis.call('XADD', KEYS[4], '*', 'k', ARGV[i + 1], 'b', ARGV[i + 2], 'r', ARGV[i + 3], 'a', ARGV[i + 4],
          'g', ARGV[1], 'i', id)
        redis.call('XACK', KEYS[1], ARGV[1], id)
        redis.call('HDEL', KEYS[3], id)
        redis.call('ZREM', KEYS[2], id)
        moved = moved + 1
      end
    end
    return moved
    """
  )

  /// Removes the entries below what any group still needs: its oldest pending one, and the one after the last that
  /// was delivered. How many went. In a script, so that no group can come or read in between. Keys: topic.
  ///
  /// Ids are compared as pairs of decimal strings, since Lua's numbers are doubles.
  static let trim = RedisScript(
    """
    if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
    local function lessNumber(a, b)
      if #a ~= #b then return #a < #b end
      return a < b
    end
    local function less(a, b)
      local ams, aseq = string.match(a, '(%d+)-(%d+)')
      local bms, bseq = string.match(b, '(%d+)-(%d+)')
      if ams ~= bms then return lessNumber(ams, bms) end
      return lessNumber(aseq, bseq)
    end
    local needed = nil
    for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
      local group = {}
      for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
      local last = group['last-delivered-id']
      local ms, seq = string.match(last, '(%d+)-(%d+)')
      if #seq < 16 then last = ms .. '-' .. string.format('%.0f', tonumber(seq) + 1) end
      if group['pending'] > 0 then
        local oldest = redis.call('XPENDING', KEYS[1], group['name'])[2]
        if less(oldest, last) then last = oldest end
      end
      if not needed or less(last, needed) then needed = last end
    end
    if not needed then return 0 end
    return redis.call('XTRIM', KEYS[1], 'MINID', needed)
    """
  )

  /// How many entries of the topic the group has not acknowledged, and how many the topic has. Keys: topic.
  /// Arguments: group. The server does not know its lag where entries were deleted out of order; then they are counted.
  static let waiting = RedisScript(
    """
    local stored = redis.call('XLEN', KEYS[1])
    if redis.call('EXISTS', KEYS[1]) == 0 then return {0, 0} end
    for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
      local group = {}
      for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
      if group['name'] == ARGV[1] then
        local lag = group['lag']
        if not lag then
          lag = 0
          local last = group['last-delivered-id']
          while true do
            local page = redis.call('XRANGE', KEYS[1], '(' .. last, '+', 'COUNT', 1000)
            if #page == 0 then break end
            lag = lag + #page
            last = page[#page][1]
          end
        end
        return {group['pending'] + lag, stored}
      end
    end
    return {stored, stored}
    """
  )

  /// Removes consumers that have nothing pending and either bear that name or have not asked for that long. In a
  /// script, since removing a consumer with something pending would lose it. How many went.
  /// Keys: topic. Arguments: group, idle time in ms, name.
  static let removeConsumers = RedisScript(
    """
    local removed = 0
    for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
      local consumer = {}
      for i = 1, #info, 2 do consumer[info[i]] = info[i + 1] end
      local over = consumer['name'] == ARGV[3] or consumer['idle'] >= tonumber(ARGV[2])
      if over and consumer['pending'] == 0 then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
        removed = removed + 1
      end
    end
    return removed
    """
  )

  /// Takes or renews the lease on serving a topic's checks: the server's clock, ms since 1970, or 0 where another
  /// process has it. Keys: checker. Arguments: who, for how many ms.
  static let lease = RedisScript(
    """
    #!lua flags=allow-oom
    local holder = redis.call('GET', KEYS[1])
    if holder and holder ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
    """
  )

  /// Gives the lease back. Keys: checker. Arguments: who.
  static let release = RedisScript(
    """
    if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
    return 0
    """
  )
}
