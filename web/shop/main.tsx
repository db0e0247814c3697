import '../common/base.css';
import './style.css';

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { Boundary } from '../common/Boundary';
import { readConfig } from '../common/config';
import { App } from './App';

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <Boundary home={{ href: window.location.pathname, title: 'Go to the shop' }}>
      <App config={readConfig()} />
    </Boundary>
  </StrictMode>,
);
