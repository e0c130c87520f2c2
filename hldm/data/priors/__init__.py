"""What CirCor's patients are like before anything is heard: populations, heart rates, beats, loudness."""
