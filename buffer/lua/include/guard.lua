-- Keeps an error in one conversation from ending the script: the other conversations of the call get their answers.

-- Return true for an error that says nothing about the keys: the server is full, a replica, or forbids the command.
local function is_refusal(problem)
  local text = type(problem) == 'table' and problem.err or tostring(problem)
  for _, word in ipairs({ 'OOM', 'READONLY', 'MISCONF', 'NOREPLICAS', 'MASTERDOWN', "can't run this command" }) do
    if string.find(text, word, 1, true) then
      return true
    end
  end
end

-- Run operation(name, …) for one conversation. If its keys cannot be read, set the cause aside and run it once more:
-- the operation must stand being cut off anywhere and run again. Return nil if it fails again.
local function guarded(operation, name, ...)
  local done, reply = pcall(operation, name, ...)
  if done then
    return reply
  elseif is_refusal(reply) then
    error(reply, 0)
  end
  -- include: sick
  local healed, problem = pcall(heal, name)
  if healed then
    done, reply = pcall(operation, name, ...)
    if done then
      return reply
    end
    problem = reply
  end
  pcall(put_off, name, problem)
end
