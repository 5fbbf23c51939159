-- What both scripts begin with: the room in KEYS[1], as the machine in shared_rooms.rs has it.
-- A hash with the fields v (version), t and p (the policy's tag and text), o (highest place given), m:PEER (a member with
-- its lease, JSON). ARGV: what is said (JSON), the lease in ms.

local said = cjson.decode(ARGV[1])
local lease_ms = tonumber(ARGV[2])
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now_ms = math.floor(now_us / 1000)

local room = { version = 0, order = 0, members = {}, count = 0 }
local before, touched, gone = {}, {}, {}
local changed = false

local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local name, value = fields[i], fields[i + 1]
  if name == 'v' then room.version = tonumber(value)
  elseif name == 'o' then room.order = tonumber(value)
  elseif name == 't' then room.tag = value
  elseif name == 'p' then room.policy = value
  else
    local member = cjson.decode(value)
    room.members[member.peer_id] = member
    room.count = room.count + 1
    before[member.server] = true
  end
end

local function put(member)
  if not room.members[member.peer_id] then room.count = room.count + 1 end
  member.lease = now_ms + lease_ms
  if member.order > room.order then room.order = member.order end
  room.members[member.peer_id] = member
  gone[member.peer_id] = nil
  touched[member.peer_id] = member
end

local function drop(peer_id)
  room.members[peer_id] = nil
  room.count = room.count - 1
  touched[peer_id] = nil
  gone[peer_id] = true
  changed = true
end

local function expire()
  for peer_id, member in pairs(room.members) do
    if member.lease <= now_ms then drop(peer_id) end
  end
end

-- cjson cannot tell an empty list from an empty object.
local function list(texts)
  return '[' .. table.concat(texts, ',') .. ']'
end

local function told(left)
  local members = {}
  for _, member in pairs(room.members) do members[#members + 1] = member end
  table.sort(members, function(a, b)
    if a.order ~= b.order then return a.order < b.order end
    return a.peer_id < b.peer_id
  end)
  for i, member in ipairs(members) do members[i] = cjson.encode(member) end
  local lefts = {}
  for i, peer_id in ipairs(left) do lefts[i] = cjson.encode(peer_id) end
  local policy = 'null'
  if room.tag then policy = cjson.encode({ tag = room.tag, text = room.policy }) end
  return '{"room":' .. cjson.encode(said.room)
    .. ',"version":' .. string.format('%.0f', room.version)
    .. ',"policy":' .. policy
    .. ',"members":' .. list(members)
    .. ',"left":' .. list(lefts) .. '}'
end

-- Writes what has changed, tells the other servers, and returns the room as text.
local function finish(by, left)
  if changed then room.version = math.max(room.version + 1, now_us) end
  local state = told(left)
  if room.count == 0 then
    redis.call('DEL', KEYS[1])
  else
    for peer_id in pairs(gone) do redis.call('HDEL', KEYS[1], 'm:' .. peer_id) end
    for peer_id, member in pairs(touched) do redis.call('HSET', KEYS[1], 'm:' .. peer_id, cjson.encode(member)) end
    if changed then
      redis.call('HSET', KEYS[1], 'v', string.format('%.0f', room.version), 'o', room.order)
      if room.tag then redis.call('HSET', KEYS[1], 't', room.tag, 'p', room.policy) end
    end
    -- A room that nobody speaks of any more does not stay for ever.
    redis.call('PEXPIRE', KEYS[1], lease_ms * 4)
  end
  if changed then
    for _, member in pairs(room.members) do before[member.server] = true end
    before[by] = nil
    for server in pairs(before) do
      redis.call('PUBLISH', 'parlor:server:' .. server, '{"room":' .. state .. '}')
    end
  end
  return state
end
