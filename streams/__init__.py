"""The Faust worker: raw messages become observations, observations become alerts. Thin agents around pure rules."""
