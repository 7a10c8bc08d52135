-- Keeps an error in one conversation from ending the script: the other conversations of the call get their answers.
-- What deals with an error is made only when there is one: a script makes all its functions in each call.

-- Run operation(name, …) for one conversation. If its keys cannot be read, set the cause aside and run it once more:
-- the operation must stand being cut off anywhere and run again. Return nil if it fails again.
local function guarded(operation, name, ...)
  local done, reply = pcall(operation, name, ...)
  if done then
    return reply
  end
  -- include: sick
  if is_refusal(reply) then
    error(reply, 0)
  end
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
